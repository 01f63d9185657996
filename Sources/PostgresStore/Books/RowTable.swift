import Store

/// The rows of one table that a group holds: those that it has asked for, and those that it adds.
struct RowTable<Row> {
    /// What errors call a row.
    private let name: String
    /// A row that cannot be read is the error of whoever needs it.
    private var rows: [Int64: Result<Row, StoreError>] = [:]
    /// The ids that were asked for, whether they have rows or not.
    private var asked: Set<Int64> = []
    /// The rows that the group adds and those that it changes, in the order in which it first does.
    private(set) var added: [Int64] = []
    private var changedOnce: Set<Int64> = []
    private(set) var changed: [Int64] = []

    init(_ name: String) { self.name = name }

    var hasWrites: Bool { !added.isEmpty || !changed.isEmpty }

    /// Notes that the ids were asked for.
    mutating func ask(_ ids: some Sequence<Int64>) { asked.formUnion(ids) }

    /// Takes a row that was read.
    mutating func load(_ id: Int64, _ row: Result<Row, StoreError>) { rows[id] = row }

    /// Whether the row is held, readable or not.
    func holds(_ id: Int64) -> Bool { rows[id] != nil }

    /// The row; nil where there is none.
    ///
    /// - Throws: `malformedRow`; `internal` for an id that nobody has asked for, since nothing is known of it.
    func find(_ id: Int64) throws -> Row? {
        if let row = rows[id] { return try row.get() }
        guard asked.contains(id) else { throw Self.miss("\(name) \(id)") }
        return nil
    }

    /// The row, which a use case takes for granted.
    func row(_ id: Int64) throws -> Row {
        guard let row = try find(id) else { throw StoreError(.internal, "a use case changes \(name) \(id), which does not exist") }
        return row
    }

    mutating func add(_ id: Int64, _ row: Row) {
        rows[id] = .success(row)
        added.append(id)
    }

    mutating func change(_ id: Int64, _ body: (inout Row) throws -> Void) throws {
        var row = try row(id)
        try body(&row)
        rows[id] = .success(row)
        if changedOnce.insert(id).inserted { changed.append(id) }
    }

    /// The rows to be inserted, as they are now.
    var additions: [(id: Int64, row: Row)] { pairs(added) }

    /// The rows to be updated, as they are now. A row that the group has added is not among them.
    var changes: [(id: Int64, row: Row)] {
        let new = Set(added)
        return pairs(new.isEmpty ? changed : changed.filter { !new.contains($0) })
    }

    private func pairs(_ ids: [Int64]) -> [(id: Int64, row: Row)] {
        ids.compactMap { id in
            guard case .success(let row) = rows[id] else { return nil }
            return (id, row)
        }
    }

    static func miss(_ what: String) -> StoreError { StoreError(.internal, "the needs of a use case are incomplete: \(what)") }
}
