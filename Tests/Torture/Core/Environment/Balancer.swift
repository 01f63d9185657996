import Synchronization
import TestSupport

/// Gives each request to a random service, and one that failed to another, as a balancer in front of the services does.
///
/// Its generator and what it knows of the services are in a mutex.
final class Balancer: Sendable {
    /// How long a service whose connection broke, or that did not answer in time, gets no request.
    private static let rest = Duration.milliseconds(500)

    private struct State {
        var random: SeededGenerator
        var avoidedUntil: [ContinuousClock.Instant?]
    }

    private let pools: [HTTPPool]
    private let state: Mutex<State>

    init(_ pools: [HTTPPool], random: SeededGenerator) {
        self.pools = pools
        state = Mutex(State(random: random, avoidedUntil: pools.map { _ in nil }))
    }

    var hasSeveral: Bool { pools.count > 1 }
    /// How long a service may take to answer while there are others to ask; nil for a single service.
    var timeLimit: Duration? { hasSeveral ? .seconds(3) : nil }

    /// The caller at a random service.
    ///
    /// - Parameter last: the service that has failed just now.
    func place(_ caller: Caller, besides last: Int? = nil) -> (caller: Caller, service: Int) {
        let service = state.withLock { state in
            let now = ContinuousClock.now
            let others = pools.indices.filter { $0 != last }
            let sound = others.filter { index in state.avoidedUntil[index].map { $0 < now } ?? true }
            return (sound.isEmpty ? others : sound).randomElement(using: &state.random) ?? 0
        }
        var caller = caller
        caller.pool = pools[service]
        return (caller, service)
    }

    func noteFailure(of service: Int) { state.withLock { $0.avoidedUntil[service] = .now + Self.rest } }
}
