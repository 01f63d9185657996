package import Commerce
import NIOCore
import Redis
import Store
import Synchronization

/// What `/readyz` reports: whether the service can decide claims and serve all other requests.
///
/// In a cluster the service is ready while it reaches the primary of the keys `ranking:{sales}:*`, which say whose store the cluster serves.
/// The others hold gates alone: while one is away, claims of its campaigns are answered 503, and all services would have to be taken out
/// for it.
package struct Readiness: Sendable, Equatable {
    package let storeAnswers: Bool
    /// Whether Redis answers and is suitable; in a cluster, whether the primary of the ranking does.
    package let redisAnswers: Bool
    /// Whether the Redis serves another store, or another incarnation of this one.
    package let isRedisForeign: Bool
    /// Open campaigns without an open gate of the store's epoch; `nil` before the first run of recovery. Without those whose primary in a
    /// cluster is away.
    package let unloadedCampaigns: [CouponID]?
    /// How many open campaigns have a gate that was not compared with the store yet; `nil` before the first run of recovery. In a cluster
    /// they count until a first recovery has succeeded: after the failover of one primary, its campaigns keep no service from being ready.
    package let uncomparedCampaigns: Int?
    /// Whether the service is about to stop.
    package let isEnding: Bool

    /// Whether every open campaign's gate is loaded and was compared with the store, and both answer.
    ///
    /// The comparison is needed because, after a crash or a failover, a loaded gate may miss claims of the store or hold claims that the
    /// store does not have. Closed campaigns are compared in the background.
    package var isReady: Bool {
        !isEnding && storeAnswers && redisAnswers && unloadedCampaigns?.isEmpty == true && uncomparedCampaigns == 0
    }
}

extension CommerceServices {
    /// Checks store and Redis. Takes no longer than the Redis client's command deadline, or a second for a store on a server.
    package func readiness() async -> Readiness {
        async let storeAnswers = storeAnswers()
        var (answers, isForeign) = (false, redisCheck.isForeign)
        do {
            answers = try await redis.send(RedisCommand("PING", isRepeatable: true).beside(RedisKeys.store)).string == "PONG"
        } catch {
            // A handshake may have found that Redis serves another store before recovery checks it again.
            isForeign = isForeign || (error.cause as? RedisError)?.code == .notAdmitted
        }
        return readiness(storeAnswers: await storeAnswers, redisAnswers: answers, isRedisForeign: isForeign)
    }

    /// The readiness without a question to Redis, or to a store on a server: a connected Redis is taken to answer, and the store to do what
    /// it did last.
    var lastReadiness: Readiness {
        readiness(
            storeAnswers: storeProbe.row != nil, redisAnswers: redis.isConnected(to: RedisKeys.store), isRedisForeign: redisCheck.isForeign)
    }

    /// Whether ``lastReadiness`` is ready.
    var isReady: Bool { lastReadiness.isReady }

    /// Looks up campaign 0. There is none, which is an answer too.
    static func probe(_ reader: PointReader) throws(StoreError) -> Found<Campaign?> { try reader.find(campaign: CouponID(0)) }

    /// How long a store on a server may take to answer.
    private static let storeDeadline = TimeAmount.seconds(1)

    private func storeAnswers() async -> Bool {
        let begin: (@escaping @Sendable (Result<Campaign?, StoreError>) -> Void) -> Void
        switch Result(catching: { () throws(StoreError) in try Self.probe(reader) }) {
        case .failure: return false
        case .success(.now): return true
        case .success(.later(let lookUp)): begin = lookUp
        }
        return await withCheckedContinuation { continuation in
            let answer = Mutex<CheckedContinuation<Bool, Never>?>(continuation)
            let resume = { @Sendable (answers: Bool) in
                answer.withLock { waiting in
                    waiting?.resume(returning: answers)
                    waiting = nil
                }
            }
            let timer = contexts[0].eventLoop.scheduleTask(in: Self.storeDeadline) { resume(false) }
            begin { [storeProbe] result in
                storeProbe.note(result)
                timer.cancel()
                if case .success = result { resume(true) } else { resume(false) }
            }
        }
    }

    private func readiness(storeAnswers: Bool, redisAnswers: Bool, isRedisForeign: Bool) -> Readiness {
        var unloaded = recovery.unloadedCampaigns?.filter(recovery.isReachable)
        var uncompared = recovery.uncompared?.count(where: recovery.isReachable)
        if redis.configuration.endpoint.isCluster, recovery.lastSuccess != nil { (unloaded, uncompared) = (unloaded ?? [], 0) }
        return Readiness(
            storeAnswers: storeAnswers, redisAnswers: redisAnswers && redisCheck.isSuitable, isRedisForeign: isRedisForeign,
            unloadedCampaigns: unloaded, uncomparedCampaigns: uncompared,
            isEnding: isEnding.load(ordering: .acquiring))
    }

    /// Makes ``readiness()`` report from now on that the service is about to stop. Requests are served as before.
    ///
    /// The background duties are handed over to another service, where there is one.
    package func announceEnd() {
        isEnding.store(true, ordering: .releasing)
        duties?.announceEnd()
    }
}
