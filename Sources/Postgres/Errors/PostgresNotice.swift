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

    /// Whether it says that a commit is not known to a standby that it was to wait for. libpq may hand such a warning over with the last
    /// statement of a trip that has no `COMMIT`, so that its place alone does not tell.
    package let isUnreplicatedCommit: Bool

    package var isWarning: Bool { severity == "WARNING" }
}

extension PostgresNotice: CustomStringConvertible {
    package var description: String { "\(severity) \(sqlState): \(message)" }
}
