import Postgres
import Synchronization

/// Which of the store's hosts this service tries first.
///
/// A primary whose standby was promoted does not know it: it takes connections and reads rows, and its commits wait for ever. So a host on
/// which a commit did not end in time goes to the end, and one on which a new session has committed goes to the front.
final class CurrentServer: Sendable {
    fileprivate struct State {
        /// Empty until a host was tried.
        var order: [PostgresEndpoint.Host] = []
        /// The host on which a session has committed last.
        var committed: PostgresEndpoint.Host?
        var moves = 0
    }

    private let state = Mutex(State())

    /// How often the commits have moved to another host.
    var moves: Int { state.withLock { $0.moves } }

    /// Whether a commit of the service was made on another host since: then sessions with this one are left, before one of them waits.
    func hasLeft(_ host: PostgresEndpoint.Host) -> Bool { state.withLock { $0.committed != nil && $0.committed != host } }

    /// Connects to the first suitable host, in the present order.
    func open(_ configuration: PostgresConfiguration) throws(PostgresError) -> PostgresConnection {
        var configuration = configuration
        configuration.endpoint.hosts = state.withLock { state in
            if state.order.isEmpty { state.order = configuration.endpoint.hosts }
            return state.order
        }
        return try PostgresConnection.open(configuration)
    }

    func committed(on host: PostgresEndpoint.Host) {
        state.withLock { state in
            if state.committed != host {
                if state.committed != nil { state.moves += 1 }
                state.committed = host
            }
            state.move(host, toFront: true)
        }
    }

    func passOver(_ host: PostgresEndpoint.Host) { state.withLock { $0.move(host, toFront: false) } }
}

extension CurrentServer.State {
    fileprivate mutating func move(_ host: PostgresEndpoint.Host, toFront: Bool) {
        guard let index = order.firstIndex(of: host) else { return }
        order.remove(at: index)
        order.insert(host, at: toFront ? 0 : order.count)
    }
}

/// Whether the rows that a session reads are believed: for some seconds after a commit of the session, which a primary whose standby was
/// promoted could not make. It ends at once when a commit of the service was made on another host.
///
/// So another service's commit on a new primary may be unseen for that time by a service that still reaches the old one; its own never is.
struct CommitProof {
    /// How long one commit proves that its server is the primary.
    static let lease = Duration.seconds(3)

    private var end: ContinuousClock.Instant?
    private var moves = 0

    /// Notes a commit.
    ///
    /// - Parameter start: a time before it was sent.
    mutating func committed(since start: ContinuousClock.Instant, as current: CurrentServer) {
        (end, moves) = (start + Self.lease, current.moves)
    }

    func isValid(as current: CurrentServer) -> Bool {
        guard let end else { return false }
        return ContinuousClock.now < end && moves == current.moves
    }
}
