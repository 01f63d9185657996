import Logging
import Redis

/// Starts the private Redis again where it has ended. The loss of a connection wakes it.
struct PrivateRedisRestart: Sendable {
    private let privateRedis: PrivateRedis
    private let redis: RedisClient
    private let logger: Logger
    let wakeup = Wakeup()

    init(privateRedis: PrivateRedis, redis: RedisClient, logger: Logger) {
        (self.privateRedis, self.redis, self.logger) = (privateRedis, redis, logger)
        redis.onDisconnect { [wakeup] in wakeup.raise() }
    }

    /// Zero where it is due again at once.
    func step() async throws -> Duration? {
        guard !redis.isConnected else { return nil }
        if try await privateRedis.ensureRunning(logger: logger) {
            logger.warning("the private redis-server had ended and was started again")
        }
        // The connection is not there yet, or was not lost to the server's end.
        return .zero
    }
}
