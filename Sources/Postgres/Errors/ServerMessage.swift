import CLibPQ

/// The fields of an error or a notice that the server sent.
struct ServerMessage {
    let severity: String
    let sqlState: SQLState
    let message: String
    let detail: String?
    let constraint: String?
    let table: String?
    let sourceFunction: String?

    init(_ result: OpaquePointer?, _ redacted: Redaction) {
        func field(_ code: Int) -> String? {
            PQresultErrorField(result, Int32(code)).map { redacted(String(cString: $0)) }
        }
        severity = field(clibpqSeverity) ?? ""
        sqlState = SQLState(field(clibpqSQLState) ?? "")
        message = Self.oneLine(field(clibpqPrimaryMessage) ?? PQresultErrorMessage(result).map { redacted(String(cString: $0)) } ?? "")
        detail = field(clibpqDetail)
        constraint = field(clibpqConstraint)
        table = field(clibpqTable)
        sourceFunction = field(clibpqSourceFunction)
    }

    /// Whether the server ends the session after it.
    var endsSession: Bool { severity == "FATAL" || severity == "PANIC" }

    /// Whether the wait of a commit for its standby was interrupted; the function has had this name since PostgreSQL 9.1.
    var isUnreplicatedCommit: Bool { sourceFunction == "SyncRepWaitForLSN" }

    private var kind: SQLState.Kind {
        // The one feature-not-supported error that means something else; the function has had this name since PostgreSQL 9.2.
        sqlState.code == "0A000" && sourceFunction == "RevalidateCachedQuery" ? .outdatedStatement : sqlState.kind
    }

    /// The error that the message is.
    func error(_ outcome: PostgresError.Outcome) -> PostgresError {
        var error = PostgresError(.server(kind), outcome, message)
        (error.sqlState, error.detail, error.constraint, error.table) = (sqlState, detail, constraint, table)
        return error
    }

    /// The first line of a text. libpq's further lines are hints for people at a terminal.
    static func oneLine(_ text: String) -> String {
        String(text.drop { $0.isWhitespace }.prefix { !$0.isNewline })
    }
}
