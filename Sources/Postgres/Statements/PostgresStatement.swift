/// One SQL statement with parameters `$1`, `$2` ..., and their types.
///
/// A statement with a name is prepared once on each connection, just before its first use there. The names `begin`, `commit` and
/// `rollback` are the client's own.
package final class PostgresStatement: Sendable {
    /// Nil for a statement that is sent with its text each time.
    package let name: String?
    package let sql: String
    package let parameters: [PostgresType]
    let parameterNumbers: [UInt32]

    /// The server's limit for a name is 63 bytes (NAMEDATALEN); some are left for a number that a connection may append.
    private static let longestName = 50

    /// - Precondition: the name has 1 to 50 bytes, and neither it nor the text has a NUL.
    package convenience init(_ name: String?, _ sql: String, _ parameters: PostgresType...) {
        self.init(name, sql, types: parameters)
    }

    /// - Precondition: the name has 1 to 50 bytes, and neither it nor the text has a NUL.
    package init(_ name: String?, _ sql: String, types parameters: [PostgresType]) {
        precondition(name.map { (1...Self.longestName).contains($0.utf8.count) && !$0.utf8.contains(0) } ?? true, "a statement's name")
        precondition(!sql.utf8.contains(0), "a statement has no NUL")
        (self.name, self.sql, self.parameters) = (name, sql, parameters)
        parameterNumbers = parameters.map(\.rawValue)
    }

    /// What errors call the statement: its name, or the first word of its text, since the text may have values of rows.
    var label: String { name ?? String(sql.drop { $0.isWhitespace }.prefix { $0.isLetter }) }

    func isSame(as other: PostgresStatement) -> Bool {
        self === other || (name == other.name && sql == other.sql && parameters == other.parameters)
    }

    static let begin = PostgresStatement("begin", "BEGIN")
    static let commit = PostgresStatement("commit", "COMMIT")
    static let rollBack = PostgresStatement("rollback", "ROLLBACK")
}
