import Postgres
import Synchronization

/// Which of the store's hosts this service tries first.
///
/// A primary whose standby was promoted does not know it: it takes connections and reads rows, and its commits wait for ever. So a host on
/// which a commit did not end in time goes to the end, and one on which a new session has committed goes to the front. While a host is
/// silent, the others are asked each second whether one of them is a primary: then the silent one is left before its deadline.
final class CurrentServer: Sendable {
    fileprivate struct State {
        /// Empty until a host was tried.
        var order: [PostgresEndpoint.Host] = []
        /// The host on which a session has committed last.
        var committed: PostgresEndpoint.Host?
        var moves = 0
        /// The last look at the other hosts for a primary.
        var look = Look()
    }

    fileprivate struct Look {
        var silent: PostgresEndpoint.Host?
        var end: ContinuousClock.Instant?
        var hasFoundPrimary = false
        var isUnderWay = false
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
        if configuration.endpoint.hosts.count > 1 {
            let others = configuration
            configuration.silence = SilenceCheck(interval: Self.silence) { [self] host in isReplaced(host, others) }
        }
        return try PostgresConnection.open(configuration)
    }

    /// How long a host does not answer before the others are looked at, and how long a look may take.
    private static let silence = Duration.seconds(1)
    /// How old the look of another session may be.
    private static let longestAge = Duration.milliseconds(500)

    /// Whether another host is a primary while this one, which was, does not answer. A primary that is only slow has standbys beside it.
    ///
    /// What became of a commit under way is the fence's to say, and a new session has to commit before it is used; see ``LaneFence``.
    private func isReplaced(_ host: PostgresEndpoint.Host, _ configuration: PostgresConfiguration) -> Bool {
        var others = configuration
        others.endpoint.hosts.removeAll { $0 == host }
        guard !others.endpoint.hosts.isEmpty else { return false }
        let known = state.withLock { state -> Bool? in
            if state.look.silent == host, let end = state.look.end, ContinuousClock.now - end < Self.longestAge {
                return state.look.hasFoundPrimary
            }
            // Of all sessions that wait, one looks.
            if state.look.isUnderWay { return false }
            state.look.isUnderWay = true
            return nil
        }
        if let known { return known }
        others.endpoint.role = .primary
        (others.connectTimeout, others.addressTimeout) = (Self.silence, Self.silence / others.endpoint.hosts.count)
        others.session.applicationName = "firstcome looking for a primary"
        let found: Bool
        do throws(PostgresError) {
            try PostgresConnection.open(others).close()
            found = true
        } catch {
            found = false
        }
        state.withLock { $0.look = Look(silent: host, end: .now, hasFoundPrimary: found) }
        return found
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
