/// What went wrong between a caller and PostgreSQL: a code to act on, what became of the statements, a message that is safe to show.
package struct PostgresError: Error, Sendable {
    /// The kind of failure, by which callers decide what to do.
    package enum Code: Sendable, Hashable {
        /// A URL, a setting or a certificate that cannot work as configured.
        case misconfigured
        /// A parameter that the server would refuse or misread, such as a text with a NUL character.
        case invalidParameter
        /// No server could be reached: a name without an address, a refused connection, a missing socket.
        case unreachable
        /// TLS failed: the server has none, or its certificate is not trusted or is another host's.
        case insecure
        /// The server is not of the kind that `target_session_attrs` asks for, such as a standby.
        case wrongRole
        /// The server answered with an error.
        case server(SQLState.Kind)
        /// The connection broke or was closed.
        case connectionLost
        /// The deadline passed.
        case timedOut
        /// `COMMIT` succeeded with a warning: the transaction is committed on this server, and a failover may lose it.
        case commitInDoubt
        /// The server or a proxy before it sent what the protocol does not allow at that place.
        case protocolViolation
        /// A result has not the column, type or value that its reader asked for.
        case unexpectedResult
    }

    /// What became of the statements of a trip.
    package enum Outcome: Sendable, Hashable {
        /// None was sent. They can be sent again on another connection.
        case notSent
        /// The server refused one: those before it were run, it and the later ones were not. The connection remains usable, unless it
        /// says otherwise, and an open transaction takes only a rollback.
        case refused
        /// Nobody here knows which were run, the commit included. The connection is closed.
        case unknown
        /// All were run.
        case completed
    }

    package var code: Code
    package var outcome: Outcome
    /// One line without secrets. Names, such as those of tables, constraints and hosts, may be in it; values of rows are in ``detail``.
    package var message: String
    /// The server's name of the error.
    package var sqlState: SQLState?
    /// The constraint that a row violates.
    package var constraint: String?
    package var table: String?
    /// The server's explanation, which may repeat values of rows. It is in no description.
    package var detail: String?
    /// The place in its trip, from 0, of the refused statement, or of the first without a result where the outcome is unknown; the
    /// number of statements for the commit at the trip's end.
    package var statement: Int?
    /// The name of that statement, or the first word of its text.
    package var statementName: String?

    package init(_ code: Code, _ outcome: Outcome, _ message: String) {
        (self.code, self.outcome, self.message) = (code, outcome, message)
    }

    /// The kind of the server's error; nil where the server sent none.
    package var kind: SQLState.Kind? {
        if case .server(let kind) = code { kind } else { nil }
    }
}

extension PostgresError: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String {
        let state = sqlState.map { " (\($0))" } ?? ""
        let place = statement.map { " in statement \($0)\(statementName.map { " \($0)" } ?? "")" } ?? ""
        let end =
            switch outcome {
            case .notSent: "; nothing was sent"
            case .refused: place.isEmpty ? "" : "; later statements were not run"
            case .unknown: "; the outcome is unknown"
            case .completed: ""
            }
        return "\(code)\(state)\(place): \(message)\(end)"
    }

    package var debugDescription: String { description }
}

extension PostgresError: CustomReflectable {
    /// Keeps `dump` of an enclosing value from showing ``detail``.
    package var customMirror: Mirror { Mirror(self, children: [("error", description)]) }
}
