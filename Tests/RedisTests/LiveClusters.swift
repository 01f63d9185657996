import Redis
import Synchronization
import Testing

/// Tests of clusters whose nodes all live. One after the other, since each cluster is six servers.
@Suite(.serialized) enum SteadyClusters {}

/// Tests of clusters and Sentinels whose servers die or are replaced, one after the other.
@Suite(.serialized) enum ChangingClusters {}

enum CountingScripts {
    static let addOne = RedisScript(name: "add_one", source: "return redis.call('INCR', KEYS[1])", keyCount: 1)
    /// A key and another one of the same slot, as a gate and its claims are.
    static let addBoth = RedisScript(
        name: "add_both", source: "redis.call('INCR', KEYS[2]) return redis.call('INCR', KEYS[1])", keyCount: 2)
}

/// Callers that count by a script without pause, and remember the last answer of each key.
final class Load: Sendable {
    private struct State {
        var count = 0
        var last: [String: Int64] = [:]
        var errors: [String] = []
    }

    private let client: RedisClient
    private let state = Mutex(State())
    private let tasks = Mutex<[Task<Void, any Error>]>([])
    private let isEnding = Atomic(false)

    init(_ client: RedisClient) { self.client = client }

    var count: Int { state.withLock { $0.count } }
    var errors: [String] { state.withLock { $0.errors } }

    func start(_ key: String, _ second: String) {
        let command = RedisCommand(CountingScripts.addBoth, keys: [.string(key), .string(second)])
        let task = Task { [self] in
            while !isEnding.load(ordering: .relaxed) {
                do throws(RedisError) {
                    let value = try await client.send(command).integer ?? -1
                    state.withLock { state in
                        state.count += 1
                        if value != state.last[key, default: 0] + 1 {
                            state.errors.append("\(key): \(value) after \(state.last[key] ?? 0)")
                        }
                        state.last[key] = value
                    }
                } catch {
                    state.withLock { $0.errors.append(error.reason) }
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
        }
        tasks.withLock { $0.append(task) }
    }

    /// Ends the callers. Returns the last answer of each key.
    func end() async throws -> [String: Int64] {
        isEnding.store(true, ordering: .relaxed)
        for task in tasks.withLock({ $0 }) { try await task.value }
        return state.withLock { $0.last }
    }
}
