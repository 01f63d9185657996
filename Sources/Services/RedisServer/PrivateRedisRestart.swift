import Logging
import Redis

/// Starts the private Redis again after it has ended. The loss of a connection wakes this work.
struct PrivateRedisRestart: Sendable {
    private let privateRedis: PrivateRedis
    private let redis: RedisClient
    private let logger: Logger
    let wakeup = Wakeup()

    init(privateRedis: PrivateRedis, redis: RedisClient, logger: Logger) {
        (self.privateRedis, self.redis, self.logger) = (privateRedis, redis, logger)
        redis.onDisconnect { [wakeup] in wakeup.raise() }
    }

    /// Starts the server where Redis is not connected and no server runs.
    ///
    /// - Returns: zero while there is no connection, so that the next step follows after the least pause.
    func step() async throws -> Duration? {
        guard !redis.isConnected else { return nil }
        if try await privateRedis.ensureRunning(logger: logger) {
            logger.warning("the private redis-server had ended and was started again")
        }
        // The client has not reconnected yet, or the server runs and the connection broke for another reason.
        return .zero
    }
}
