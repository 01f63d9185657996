import NIOCore
import Redis

/// Recovery on a Redis that was checked first, for the background work that begins it.
struct CheckedRecovery: Sendable {
    let check: RedisCheck
    let recovery: ClaimRecovery
    let redis: RedisClient
    let relay: SalesRelay
    let delivery: Delivery

    /// Compares in full what was not compared since the start or the last reconnect, however many tries that takes.
    func run() async throws {
        try await check.run()
        // A claim whose reply takes longer has been given up by its claimant.
        try await recovery.run(deep: false, grace: .nanoseconds(redis.configuration.commandDeadline.nanoseconds))
        if let missing = recovery.unloadedCampaigns, !missing.isEmpty {
            throw ServiceError(.paused, "\(missing.count) campaigns have no gate yet")
        }
    }

    /// Has relay and stream ask Redis how far it is.
    func forgetOffsets() {
        relay.forgetOffset()
        relay.wakeup.raise()
        delivery.forgetLast()
    }

    /// After a reconnect: whatever was read of Redis before says nothing about the one that answers now.
    func forgetAll() {
        recovery.forgetStates()
        forgetOffsets()
    }
}
