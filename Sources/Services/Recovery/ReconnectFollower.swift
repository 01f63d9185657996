import Logging
import Redis

/// Recovers after every reconnect: a connection that comes back may lead to another Redis, or to one that has forgotten something.
struct ReconnectFollower: Sendable {
    let recovery: CheckedRecovery
    let redis: RedisClient
    let logger: Logger

    private static let backoff = Backoff(firstMilliseconds: 50, longestMilliseconds: 1_000)

    /// Follows the connects until the task is cancelled.
    ///
    /// What was read before is forgotten at once, also while the recovery after the last reconnect runs: that one is ended, and
    /// another begins.
    func run(_ connects: AsyncStream<RedisClient.ConnectEvent>) async {
        var latest: Task<Void, Never>?
        for await _ in connects {
            recovery.forgetAll()
            let former = latest
            former?.cancel()
            latest = Task {
                await former?.value
                await recover()
            }
        }
        latest?.cancel()
        await latest?.value
    }

    private func recover() async {
        if Task.isCancelled { return }
        for failures in 1...Int64.max {
            do {
                return try await recovery.run()
            } catch {
                if Task.isCancelled { return }
                let isUnsuitable = (error as? ServiceError)?.code == .unsuitableRedis
                if isUnsuitable || failures == 1, !error.isLossOfRedis {
                    logger.log(
                        level: isUnsuitable ? .error : .warning, "recovery after a reconnect failed", metadata: ["error": "\(error)"])
                }
                // Without a connection the next one is waited for; an unsuitable server is looked at again with the regular recovery.
                if isUnsuitable || !redis.isConnected { return }
                try? await Task.sleep(for: .milliseconds(Self.backoff.milliseconds(afterFailures: failures)))
            }
        }
    }
}
