package import Commerce
import Redis
import Store
import Synchronization

/// Whether the service can do all that it is there for.
package struct Readiness: Sendable, Equatable {
    package let storeAnswers: Bool
    package let redisAnswers: Bool
    /// Whether the Redis serves another store, or another incarnation of this one.
    package let isRedisForeign: Bool
    /// Open campaigns without an open gate of the store's epoch; `nil` before the first look at them.
    package let unloadedCampaigns: [CouponID]?
    /// How many open campaigns have a gate that was not compared with the store yet; `nil` before the first look at them.
    package let uncomparedCampaigns: Int?
    /// Whether the service is about to stop.
    package let isEnding: Bool

    /// A gate that was loaded may miss claims or hold some that the store never heard of, after a crash or a failover. So the service is
    /// ready when every open campaign's gate is loaded and was compared; closed campaigns follow in the background.
    package var isReady: Bool {
        !isEnding && storeAnswers && redisAnswers && unloadedCampaigns?.isEmpty == true && uncomparedCampaigns == 0
    }
}

extension CommerceServices {
    /// Asks store and Redis; takes no longer than Redis' command deadline.
    package func readiness() async -> Readiness {
        // No event yet is an answer too, which `try?` on an optional would hide.
        let storeAnswers = (try? reader.campaign(CouponID(0)).map { _ in () } ?? ()) != nil
        var (answers, isForeign) = (false, redisCheck.isForeign)
        do {
            answers = try await redis.send(RedisCommand("PING", isRepeatable: true)).string == "PONG"
        } catch {
            // The last handshake knows before the next recovery looks.
            isForeign = isForeign || (error.cause as? RedisError)?.code == .notAdmitted
        }
        return Readiness(
            storeAnswers: storeAnswers, redisAnswers: answers && redisCheck.isSuitable, isRedisForeign: isForeign,
            unloadedCampaigns: recovery.unloadedCampaigns, uncomparedCampaigns: recovery.uncomparedCampaigns,
            isEnding: isEnding.load(ordering: .acquiring))
    }

    /// Has ``readiness()`` say from now on that the service is about to stop; it works as before.
    package func announceEnd() { isEnding.store(true, ordering: .releasing) }
}
