import CLibPQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// One session of a PostgreSQL server. Statements go in trips: all statements of a trip are sent together, then their results are read.
///
/// A connection is used by one thread at a time, which it blocks; the compiler holds its users to that, since it is not `Sendable`.
/// When a deadline passes or the connection breaks, it is closed for good: make another one. It never asks the server to cancel a
/// statement, because a cancelled `COMMIT` that waits for a standby is a commit that a failover may lose.
package final class PostgresConnection {
    /// The transaction of the session between two trips.
    package enum Transaction: Sendable, Hashable {
        case none
        case open
        /// One of its statements has failed, so it takes only a rollback.
        case failed
    }

    /// The server that it is connected to.
    package let host: PostgresEndpoint.Host
    let notices: NoticeReceiver
    let silence: SilenceCheck?
    /// Nil once it is closed.
    var connection: OpaquePointer?
    var batch = PostgresBatch()
    var statements = PreparedStatements()
    var scratch = SendScratch()
    /// What the trip under way still has to read.
    var expected: [ExpectedResult] = []

    private init(_ connected: PostgresConnector.Connected, _ notices: NoticeReceiver, _ silence: SilenceCheck?) {
        (connection, host, self.notices, self.silence) = (connected.connection, connected.host, notices, silence)
    }

    deinit { close() }

    /// Connects, and blocks until then.
    ///
    /// - Parameter onNotice: gets the server's notices, on the thread that uses the connection, while it uses it.
    /// - Throws: always with the outcome `.notSent`.
    package static func open(
        _ configuration: PostgresConfiguration, onNotice: @escaping (PostgresNotice) -> Void = { _ in }
    ) throws(PostgresError) -> PostgresConnection {
        let notices = NoticeReceiver(onNotice)
        let connected = try PostgresConnector(configuration: configuration, notices: notices).connect()
        return PostgresConnection(connected, notices, configuration.silence)
    }

    /// Whether it was closed neither by its user nor because of a failure.
    package var isOpen: Bool { connection != nil }

    package var transaction: Transaction {
        switch PQtransactionStatus(connection) {
        case PQTRANS_INTRANS: .open
        case PQTRANS_INERROR: .failed
        default: .none
        }
    }

    /// The server's version, such as 150018 for 15.18.
    package var serverVersion: Int { Int(PQserverVersion(connection)) }

    /// The process id of the server's side, as in `pg_stat_activity`.
    package var serverProcess: Int32 { PQbackendPID(connection) }

    package var isEncrypted: Bool { PQsslInUse(connection) == 1 }

    /// A setting of which the server reports each change, such as `in_hot_standby`; nil for others.
    package func reported(_ parameter: String) -> String? { PQparameterStatus(connection, parameter).map { String(cString: $0) } }

    /// Ends the session. An open transaction is rolled back.
    package func close() {
        if let connection { PQfinish(connection) }
        connection = nil
    }

    /// Closes the connection without sending another byte: what libpq still holds would otherwise leave after the caller was told that
    /// the outcome is unknown.
    func abandon() {
        if let connection, PQsocket(connection) >= 0 { _ = shutdown(PQsocket(connection), Int32(SHUT_RDWR)) }
        close()
    }
}

@available(*, unavailable)
extension PostgresConnection: Sendable {}
