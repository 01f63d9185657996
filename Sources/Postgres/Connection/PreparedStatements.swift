/// The statements that a connection has prepared, by their names.
struct PreparedStatements {
    private struct Entry {
        let statement: PostgresStatement
        /// How often the server has called an earlier one outdated; each time the name on the server gets another number.
        var generation = 0
        /// Whether the server has confirmed it. What is only requested is forgotten when the trip fails.
        var isReady = false
        /// Whether the trip under way has asked for it.
        var isRequested = false
    }

    private var entries: [String: Entry] = [:]

    enum Use {
        /// It must be prepared first.
        case new
        case known
        /// Another statement has the name.
        case conflict
    }

    /// Notes that the trip under way uses the statement.
    mutating func use(_ statement: PostgresStatement, named name: String) -> Use {
        guard var entry = entries[name] else {
            entries[name] = Entry(statement: statement, isRequested: true)
            return .new
        }
        guard entry.statement.isSame(as: statement) else { return .conflict }
        if entry.isReady || entry.isRequested { return .known }
        entry.isRequested = true
        entries[name] = entry
        return .new
    }

    /// The statement's name on the server.
    func serverName(_ name: String) -> String {
        guard let generation = entries[name]?.generation, generation > 0 else { return name }
        return "\(name)~\(generation)"
    }

    mutating func confirm(_ name: String) { entries[name]?.isReady = true }

    /// Has the statement prepared again by its next use.
    mutating func outdate(_ name: String) {
        entries[name]?.generation += 1
        entries[name]?.isReady = false
        entries[name]?.isRequested = false
    }

    /// Forgets what a failed trip has asked for and the server has not confirmed.
    mutating func forgetRequested() {
        for (name, entry) in entries where !entry.isReady && entry.isRequested { entries[name]?.isRequested = false }
    }
}
