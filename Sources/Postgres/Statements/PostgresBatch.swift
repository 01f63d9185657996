/// The statements of one trip, in their order. Nothing is sent before all are given.
package struct PostgresBatch: ~Copyable {
    struct Step {
        let statement: PostgresStatement
        /// The place of its first parameter among those of the trip.
        let firstParameter: Int
        let isCommit: Bool
    }

    var steps: [Step] = []
    var parameters = PostgresParameters()
    /// The place of the statement whose parameters cannot be sent.
    var faultyStep: Int?
    private var joinedStatements = JoinedStatements()
    /// The statements so far of what becomes one statement; nil where each is one of its own.
    private var joining: [PostgresStatement]?

    init() {}

    mutating func removeAll() {
        joining = nil
        steps.removeAll(keepingCapacity: true)
        parameters.removeAll()
        faultyStep = nil
    }

    /// Adds a statement and its parameters.
    package mutating func execute(_ statement: PostgresStatement, _ write: (inout PostgresParameters) -> Void = { _ in }) {
        add(statement, isCommit: false, write)
    }

    /// Adds all that the closure executes as one statement, with one result. The server runs it in less time than several.
    ///
    /// - Precondition: each has a name and is an `INSERT`, `UPDATE` or `DELETE` without a `WITH` clause and without texts in which a `$` is
    ///   followed by a digit. No row is changed by two of them, none reads what another writes, and their order does not matter.
    package mutating func executeAsOne(_ add: (inout PostgresBatch) -> Void) {
        let first = parameters.places.count
        joining = []
        add(&self)
        let parts = joining ?? []
        joining = nil
        guard !parts.isEmpty else { return }
        if let statement = joinedStatements.statement(of: parts) {
            steps.append(Step(statement: statement, firstParameter: first, isCommit: false))
            return
        }
        var next = first
        for part in parts {
            steps.append(Step(statement: part, firstParameter: next, isCommit: false))
            next += part.parameters.count
        }
    }

    /// Adds `BEGIN`. Without it, all statements of a trip are one transaction, which is committed at the trip's end.
    package mutating func begin() { add(.begin, isCommit: false) }

    /// Adds `COMMIT`, after which a trip should end. A commit that the server confirms with a warning, or by rolling back, is an error.
    package mutating func commit() { add(.commit, isCommit: true) }

    /// Adds `ROLLBACK`.
    package mutating func rollBack() { add(.rollBack, isCommit: false) }

    private mutating func add(
        _ statement: PostgresStatement, isCommit: Bool, _ write: (inout PostgresParameters) -> Void = { _ in }
    ) {
        let step = Step(statement: statement, firstParameter: parameters.places.count, isCommit: isCommit)
        parameters.begin(statement)
        write(&parameters)
        parameters.end()
        if parameters.fault != nil && faultyStep == nil { faultyStep = steps.count }
        if joining == nil { steps.append(step) } else { joining?.append(statement) }
    }

    /// How many statements the trip has so far: the place of the next one in the results.
    package var count: Int { steps.count }
}
