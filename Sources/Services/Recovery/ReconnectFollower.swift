import Logging
import Redis

/// Runs recovery after every reconnect, because the new connection may lead to another Redis or to one that has lost data.
struct ReconnectFollower: Sendable {
    let recovery: CheckedRecovery
    let redis: RedisClient
    let logger: Logger

    private static let backoff = Backoff(firstMilliseconds: 50, longestMilliseconds: 1_000)

    /// Handles connect events until the task is cancelled.
    ///
    /// Each event drops what was read from Redis at once. If the recovery after the previous event still runs, it is cancelled before the
    /// next one begins.
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
                // Without a connection, the next connect event begins another recovery. An unsuitable server is checked again by the
                // regular recovery.
                if isUnsuitable || !redis.isConnected(to: RedisKeys.store) { return }
                try? await Task.sleep(for: .milliseconds(Self.backoff.milliseconds(afterFailures: failures)))
            }
        }
    }
}
