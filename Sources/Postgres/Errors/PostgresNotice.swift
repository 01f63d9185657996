/// A message of the server that is no error, such as a warning.
package struct PostgresNotice: Sendable, Hashable {
    /// The severity's English name: `WARNING`, `NOTICE`, `INFO`, `LOG` or `DEBUG`, and `FATAL` where the server ends an idle session.
    package let severity: String
    package let sqlState: SQLState
    /// One line without secrets.
    package let message: String
    /// The server's explanation, which may repeat values of rows.
    package let detail: String?
    /// The place in its trip of the statement under way; the number of statements for the commit at the trip's end; nil between trips.
    package let statement: Int?

    package var isWarning: Bool { severity == "WARNING" }
}

extension PostgresNotice: CustomStringConvertible {
    package var description: String { "\(severity) \(sqlState): \(message)" }
}
