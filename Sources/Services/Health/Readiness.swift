package import Commerce
import Redis
import Store
import Synchronization

/// What `/readyz` reports: whether the service can decide claims and serve all other requests.
package struct Readiness: Sendable, Equatable {
    package let storeAnswers: Bool
    package let redisAnswers: Bool
    /// Whether the Redis serves another store, or another incarnation of this one.
    package let isRedisForeign: Bool
    /// Open campaigns without an open gate of the store's epoch; `nil` before the first run of recovery.
    package let unloadedCampaigns: [CouponID]?
    /// How many open campaigns have a gate that was not compared with the store yet; `nil` before the first run of recovery.
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
    /// Checks store and Redis. Takes no longer than the Redis client's command deadline.
    package func readiness() async -> Readiness {
        var (answers, isForeign) = (false, redisCheck.isForeign)
        do {
            answers = try await redis.send(RedisCommand("PING", isRepeatable: true)).string == "PONG"
        } catch {
            // A handshake may have found that Redis serves another store before recovery checks it again.
            isForeign = isForeign || (error.cause as? RedisError)?.code == .notAdmitted
        }
        return readiness(redisAnswers: answers, isRedisForeign: isForeign)
    }

    /// The readiness without a question to Redis: a connected Redis is taken to answer.
    var isReady: Bool { readiness(redisAnswers: redis.isConnected, isRedisForeign: redisCheck.isForeign).isReady }

    private func readiness(redisAnswers: Bool, isRedisForeign: Bool) -> Readiness {
        // The read finds no campaign 0, which is an answer too: `try?` on the optional would not tell it from a failure.
        let storeAnswers = (try? reader.campaign(CouponID(0)).map { _ in () } ?? ()) != nil
        return Readiness(
            storeAnswers: storeAnswers, redisAnswers: redisAnswers && redisCheck.isSuitable, isRedisForeign: isRedisForeign,
            unloadedCampaigns: recovery.unloadedCampaigns, uncomparedCampaigns: recovery.uncomparedCampaigns,
            isEnding: isEnding.load(ordering: .acquiring))
    }

    /// Makes ``readiness()`` report from now on that the service is about to stop. Requests are served as before.
    package func announceEnd() { isEnding.store(true, ordering: .releasing) }
}
