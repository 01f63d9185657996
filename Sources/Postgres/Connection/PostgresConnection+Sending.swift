import CLibPQ

/// Memory that is used again by each statement that is sent.
struct SendScratch {
    var values: [UnsafePointer<CChar>?] = []
    var lengths: [Int32] = []
    /// As many ones as the longest list of parameters so far: every parameter is binary.
    var formats: [Int32] = []
}

/// A result that the server owes.
enum ExpectedResult {
    case prepared(step: Int)
    case executed(step: Int)

    var step: Int {
        switch self {
        case .prepared(let step), .executed(let step): step
        }
    }
}

extension PostgresConnection {
    /// Sends statements and reads their results. Nothing is sent where one of their parameters is not valid.
    ///
    /// - Parameter time: how long the trip may take. When it has passed, the connection is closed, and the outcome is unknown.
    /// - Returns: one result for each statement, in their order, once all are there.
    /// - Throws: the first error of a statement. `outcome` says what became of the trip.
    package func send(within time: Duration, _ build: (inout PostgresBatch) -> Void) throws(PostgresError) -> PostgresResults {
        let deadline = Deadline(in: time)
        batch.removeAll()
        build(&batch)
        guard let connection else { throw PostgresError(.connectionLost, .notSent, "the connection is closed") }
        if let fault = batch.parameters.fault { throw invalid(fault, at: batch.faultyStep ?? 0) }
        guard batch.count > 0 else { return PostgresResults(results: [], notices: []) }
        try checkItIsOpen(connection)
        try plan()
        notices.collected.removeAll(keepingCapacity: true)
        notices.statement = 0
        defer { notices.statement = nil }
        do throws(PostgresError) {
            try enqueue(connection)
            return try readResults(connection, deadline)
        } catch {
            statements.forgetRequested()
            if error.outcome == .unknown { abandon() }
            throw error
        }
    }

    /// Rolls the session's transaction back, if it has one.
    package func rollBack(within time: Duration) throws(PostgresError) {
        if transaction != .none { _ = try send(within: time) { $0.rollBack() } }
    }

    private func invalid(_ fault: String, at step: Int) -> PostgresError {
        var error = PostgresError(.invalidParameter, .notSent, fault)
        (error.statement, error.statementName) = (step, batch.steps[step].statement.label)
        return error
    }

    /// Reads what has arrived between two trips: a server that has ended the session has usually said so, and then nothing was sent.
    private func checkItIsOpen(_ connection: OpaquePointer) throws(PostgresError) {
        let received = PQconsumeInput(connection) == 1
        // Has libpq parse it, which may call the receiver of notices.
        _ = PQisBusy(connection)
        guard !received || notices.sessionEnd != nil || PQstatus(connection) == CONNECTION_BAD else { return }
        var error = PostgresError(.connectionLost, .notSent, ServerMessage.oneLine(message(of: connection)))
        if let end = notices.sessionEnd { (error.sqlState, error.message) = (end.sqlState, end.message) }
        abandon()
        throw error
    }

    /// libpq's own message about the connection.
    func message(of connection: OpaquePointer) -> String {
        notices.redacted(PQerrorMessage(connection).map { String(cString: $0) } ?? "")
    }

    /// Lists the results that the trip will have.
    private func plan() throws(PostgresError) {
        expected.removeAll(keepingCapacity: true)
        for step in 0..<batch.steps.count {
            let statement = batch.steps[step].statement
            if let name = statement.name {
                switch statements.use(statement, named: name) {
                case .new: expected.append(.prepared(step: step))
                case .known: break
                case .conflict:
                    statements.forgetRequested()
                    throw invalid("another statement of this connection has the same name", at: step)
                }
            }
            expected.append(.executed(step: step))
        }
    }

    private func enqueue(_ connection: OpaquePointer) throws(PostgresError) {
        for next in expected {
            let sent =
                switch next {
                case .prepared(let step): prepare(batch.steps[step].statement, connection)
                case .executed(let step): execute(step, connection)
                }
            guard sent else { throw lost(connection) }
        }
        guard PQpipelineSync(connection) == 1 else { throw lost(connection) }
    }

    private func prepare(_ statement: PostgresStatement, _ connection: OpaquePointer) -> Bool {
        let numbers = statement.parameterNumbers
        return PQsendPrepare(connection, statements.serverName(statement.name ?? ""), statement.sql, Int32(numbers.count), numbers) == 1
    }

    private func execute(_ step: Int, _ connection: OpaquePointer) -> Bool {
        let statement = batch.steps[step].statement
        let first = batch.steps[step].firstParameter
        let count = statement.parameters.count
        scratch.values.removeAll(keepingCapacity: true)
        scratch.lengths.removeAll(keepingCapacity: true)
        while scratch.formats.count < count { scratch.formats.append(1) }
        let bytes = UnsafePointer(batch.parameters.bytes.start.assumingMemoryBound(to: CChar.self))
        for index in first..<first + count {
            let place = batch.parameters.places[index]
            scratch.values.append(place.length < 0 ? nil : bytes + place.offset)
            scratch.lengths.append(max(place.length, 0))
        }
        guard let name = statement.name else {
            return PQsendQueryParams(
                connection, statement.sql, Int32(count), statement.parameterNumbers, scratch.values, scratch.lengths, scratch.formats, 1)
                == 1
        }
        return PQsendQueryPrepared(
            connection, statements.serverName(name), Int32(count), scratch.values, scratch.lengths, scratch.formats, 1) == 1
    }

    /// The connection has broken after some of the trip may have left.
    func lost(_ connection: OpaquePointer) -> PostgresError {
        var error = PostgresError(.connectionLost, .unknown, ServerMessage.oneLine(message(of: connection)))
        error.statement = notices.statement
        if let end = notices.sessionEnd { (error.sqlState, error.message) = (end.sqlState, end.message) }
        return error
    }
}
