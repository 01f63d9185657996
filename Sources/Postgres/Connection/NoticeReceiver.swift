import CLibPQ

/// Gets the server's notices from libpq, while the connection's thread reads.
final class NoticeReceiver {
    private let handler: (PostgresNotice) -> Void
    var redacted = Redaction(password: nil)
    /// The statement whose result is awaited.
    var statement: Int?
    /// The notices of the present trip.
    var collected: [PostgresNotice] = []
    /// What the server said when it ended the session while no statement was under way, or without an error.
    private(set) var sessionEnd: ServerMessage?

    init(_ handler: @escaping (PostgresNotice) -> Void) { self.handler = handler }

    /// Has libpq call this receiver, which must outlive the connection.
    func attach(to connection: OpaquePointer) {
        let receive: PQnoticeReceiver = { context, result in
            guard let context else { return }
            Unmanaged<NoticeReceiver>.fromOpaque(context).takeUnretainedValue().receive(result)
        }
        _ = PQsetNoticeReceiver(connection, receive, Unmanaged.passUnretained(self).toOpaque())
    }

    /// A server that shuts down or has crashed sends a mere warning where an error might be taken for the answer of a commit
    /// (PostgreSQL's `quickdie` and `SyncRepWaitForLSN`).
    private static let endings: Set = ["57P01", "57P02"]

    private func receive(_ result: OpaquePointer?) {
        let message = ServerMessage(result, redacted)
        if message.endsSession || Self.endings.contains(message.sqlState.code) { sessionEnd = message }
        let notice = PostgresNotice(
            severity: message.severity, sqlState: message.sqlState, message: message.message, detail: message.detail, statement: statement,
            isUnreplicatedCommit: message.isUnreplicatedCommit)
        if statement != nil { collected.append(notice) }
        handler(notice)
    }
}
