import NIOCore
import Synchronization

/// One server that holds keys: the single server, the primary that Sentinels name, or a primary of a cluster.
package struct RedisPrimary: Sendable, Hashable, CustomStringConvertible {
    /// Nil for the single server, and for the primary that Sentinels name.
    let address: RedisNodeAddress?
    /// Where it is, without a password.
    package let description: String
}

/// Commands to certain servers rather than to those that hold their keys, such as `INFO` or `SCAN`.
extension RedisClient {
    /// The primaries of the cluster at this moment, or the single server.
    ///
    /// - Throws: `.notConnected` where the nodes of the cluster are not known, with the reason as its cause.
    package nonisolated(nonsending) func primaries() async throws(RedisError) -> [RedisPrimary] {
        let only = [RedisPrimary(address: nil, description: "\(configuration.endpoint)")]
        guard case .router(let router) = anyConnection.link, configuration.endpoint.isCluster else { return only }
        // A command without a key waits for the first map, or fails where there is none.
        if router.nodes.reach.withLock({ $0.map == nil }) { _ = try await send(RedisCommand("PING")) }
        let known = router.nodes.reach.withLock { $0.map?.primaries ?? [] }
        return known.map { RedisPrimary(address: $0, description: "\($0)") }
    }

    /// Sends one command to this server and to no other, whatever keys it names. Error replies are thrown.
    ///
    /// - Throws: `.notConnected` also where the server is no primary any more.
    package nonisolated(nonsending) func send(_ command: RedisCommand, to primary: RedisPrimary) async throws(RedisError) -> RedisValue {
        guard let address = primary.address, case .router(let router) = anyConnection.link else { return try await send(command) }
        let outcome: Result<RedisValue, RedisError> = await withUnsafeContinuation { continuation in
            router.eventLoop.execute { router.enqueue(command, .continuation(continuation), to: .node(address)) }
        }
        return try outcome.get()
    }

    /// Sends one command to every primary, one after the other, and returns what each answered.
    ///
    /// - Throws: as `primaries()`; what a server answers or fails with is in its result.
    package nonisolated(nonsending) func sendToEveryPrimary(
        _ command: RedisCommand
    ) async throws(RedisError) -> [(primary: RedisPrimary, answer: Result<RedisValue, RedisError>)] {
        var answers: [(primary: RedisPrimary, answer: Result<RedisValue, RedisError>)] = []
        for primary in try await primaries() {
            do throws(RedisError) {
                answers.append((primary, .success(try await send(command, to: primary))))
            } catch {
                answers.append((primary, .failure(error)))
            }
        }
        return answers
    }
}
