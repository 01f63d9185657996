import Postgres

/// A connection for reading that commits now and then, so that it never reads from a server that is no primary any more.
///
/// Used by one thread. Its row in `lanes` is nobody's fence: it is only something to commit.
final class ProvenConnection {
    private let configuration: PostgresConfiguration
    private let time: Duration
    /// Nil for a store that is opened for reading, which writes nothing.
    private let current: CurrentServer?
    private var fence = LaneFence()
    private var proof = CommitProof()
    private(set) var connection: PostgresConnection?

    /// - Parameter time: how long a commit may take.
    init(_ configuration: PostgresConfiguration, committingWithin time: Duration, on current: CurrentServer?) {
        (self.configuration, self.time, self.current) = (configuration, time, current)
    }

    var isOpen: Bool { connection?.isOpen == true }

    /// The connection, made where there is none; a server that cannot commit in time is left.
    func proven() throws(PostgresError) -> PostgresConnection {
        guard let current else {
            if let connection, connection.isOpen { return connection }
            let opened = try PostgresConnection.open(configuration)
            connection = opened
            return opened
        }
        if let connection, connection.isOpen, proof.isValid(as: current) { return connection }
        if let connection, current.hasLeft(connection.host) { disconnect() }
        let open: PostgresConnection
        if let connection, connection.isOpen { open = connection } else { open = try current.open(configuration) }
        connection = open
        let start = ContinuousClock.now
        do throws(PostgresError) {
            try fence.take(on: open, within: time)
        } catch {
            leave()
            throw error
        }
        current.committed(on: open.host)
        proof.committed(since: start, as: current)
        return open
    }

    /// Ends the session, and tries other hosts first from now on.
    func leave() {
        if let connection { current?.passOver(connection.host) }
        disconnect()
    }

    func disconnect() {
        connection?.close()
        (connection, proof) = (nil, CommitProof())
    }

    /// Ends the session and removes its row.
    func close() {
        // A row that stays is removed some days later.
        if current != nil, let connection, connection.isOpen { try? fence.remove(on: connection, within: time) }
        disconnect()
    }
}
