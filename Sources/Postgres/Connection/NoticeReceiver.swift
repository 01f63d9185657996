import CLibPQ

/// Gets the server's notices from libpq, while the connection's thread reads.
final class NoticeReceiver {
    private let handler: (PostgresNotice) -> Void
    var redacted = Redaction(password: nil)
    /// The statement whose result is awaited.
    var statement: Int?
    /// The notices of the present trip.
    var collected: [PostgresNotice] = []
    /// What a server said that ended the session while no statement was under way.
    private(set) var farewell: ServerMessage?

    init(_ handler: @escaping (PostgresNotice) -> Void) { self.handler = handler }

    /// Has libpq call this receiver, which must outlive the connection.
    func attach(to connection: OpaquePointer) {
        let receive: PQnoticeReceiver = { context, result in
            guard let context else { return }
            Unmanaged<NoticeReceiver>.fromOpaque(context).takeUnretainedValue().receive(result)
        }
        _ = PQsetNoticeReceiver(connection, receive, Unmanaged.passUnretained(self).toOpaque())
    }

    private func receive(_ result: OpaquePointer?) {
        let message = ServerMessage(result, redacted)
        if message.endsSession { farewell = message }
        let notice = PostgresNotice(
            severity: message.severity, sqlState: message.sqlState, message: message.message, detail: message.detail, statement: statement)
        if statement != nil { collected.append(notice) }
        handler(notice)
    }
}
