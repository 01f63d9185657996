import Synchronization

/// Counts what was asked and answered, and how long it took. Its state is in a mutex, because many tasks count.
final class Tally: Sendable {
    /// What is counted apart from the others.
    enum Kind: Sendable { case setUp, claim, shopping }

    private struct State {
        var outcomes: [String: Int] = [:]
        var requests: [Kind: Int] = [:]
        var latencies: [Kind: [Duration]] = [:]
        /// Since the last look.
        var recent: [Duration] = []
        var wonPaid: Int64 = 0
    }

    private let state = Mutex(State())

    /// Runs a request and counts its time.
    func timed<Answer>(_ kind: Kind, _ request: () async throws -> Answer) async rethrows -> Answer {
        let start = ContinuousClock.now
        let answer = try await request()
        let time = start.duration(to: .now)
        state.withLock { state in
            state.requests[kind, default: 0] += 1
            state.latencies[kind, default: []].append(time)
            state.recent.append(time)
        }
        return answer
    }

    func count(_ outcome: String, _ number: Int = 1) { state.withLock { $0.outcomes[outcome, default: 0] += number } }

    func countPaid(_ won: Int64) {
        state.withLock { state in
            state.outcomes["paid", default: 0] += 1
            state.wonPaid += won
        }
    }

    func outcome(_ name: String) -> Int { state.withLock { $0.outcomes[name, default: 0] } }

    var wonPaid: Int64 { state.withLock { $0.wonPaid } }

    func requests(_ kind: Kind) -> Int { state.withLock { $0.requests[kind, default: 0] } }

    /// The outcomes whose names begin so, the most frequent first, without that beginning.
    func outcomes(_ prefix: String) -> [(name: String, count: Int)] {
        let found = state.withLock { $0.outcomes }.filter { $0.key.hasPrefix(prefix) }
        return found.map { (String($0.key.dropFirst(prefix.count)), $0.value) }.sorted { ($1.count, $0.name) < ($0.count, $1.name) }
    }

    func times(_ kind: Kind) -> Times { Times(state.withLock { $0.latencies[kind, default: []] }) }

    /// The requests since the last call.
    func takeRecent() -> Times {
        Times(
            state.withLock { state in
                defer { state.recent = [] }
                return state.recent
            })
    }
}

/// How long requests took, from the moment a person clicked, so with the wait for a free connection.
struct Times: Sendable {
    let count: Int
    let p50: Duration
    let p99: Duration

    init(_ times: [Duration]) {
        let sorted = times.sorted()
        count = sorted.count
        func percentile(_ share: Double) -> Duration {
            sorted.isEmpty ? .zero : sorted[min(sorted.count - 1, Int((Double(sorted.count) * share).rounded(.up)) - 1)]
        }
        (p50, p99) = (percentile(0.5), percentile(0.99))
    }

    var text: String { "p50 \(Text.milliseconds(p50))  p99 \(Text.milliseconds(p99))" }
}
