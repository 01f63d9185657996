import Logging
import Redis
import Synchronization

/// Checks whether the connected Redis may be used, and keeps the result of the last check.
final class RedisCheck: Sendable {
    private let redis: RedisClient
    private let logger: Logger
    private let suitable = Atomic<Bool>(false)
    /// The settings that were unwanted at the last check.
    private let unwanted = Mutex<Set<String>>([])
    /// The error message about a Redis that serves another store; nil where it serves this one.
    private let foreign = Mutex<String?>(nil)

    init(redis: RedisClient, logger: Logger) { (self.redis, self.logger) = (redis, logger) }

    /// Whether version, role and eviction policy were suitable at the last check that found them so or not; false before the first one.
    /// A check that finds a Redis of another store leaves it as it was, so a usable Redis is suitable and not foreign.
    var isSuitable: Bool { suitable.load(ordering: .acquiring) }
    /// Whether the last check that found which store the Redis serves found another store, or another incarnation of this one.
    var isForeign: Bool { foreign.withLock { $0 != nil } }

    /// Checks the Redis. Logs once when it serves another store, and once when it serves this one again.
    ///
    /// - Throws: where the Redis must not be used, or does not answer.
    func run() async throws {
        do {
            try await RedisSuitability.check(redis)
            suitable.store(true, ordering: .releasing)
            if foreign.withLock({ $0.take() }) != nil { logger.notice("Redis serves this store now") }
            await advise()
        } catch let error as ServiceError where error.code == .unsuitableRedis {
            suitable.store(false, ordering: .releasing)
            throw error
        } catch let error as ServiceError where error.code == .foreignRedis {
            let before = foreign.withLock { known in
                defer { known = error.message }
                return known
            }
            if before != error.message {
                logger.error("\(error.message). Claims are refused; see `firstcome redis show`")
            }
            throw error
        }
    }

    /// Logs settings that make failures worse, once.
    private func advise() async {
        let advice = await RedisSuitability.advice(redis)
        let known = unwanted.withLock { known in
            defer { known = Set(advice.keys) }
            return known
        }
        // Their places change with every failover, which is not worth a line.
        for (name, line) in advice.sorted(by: { $0.key < $1.key }) where !known.contains(name) { logger.warning("\(line)") }
    }
}
