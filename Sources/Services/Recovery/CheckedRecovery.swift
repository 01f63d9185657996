import NIOCore
import Redis

/// Recovery that checks first whether the Redis may be used.
struct CheckedRecovery: Sendable {
    let check: RedisCheck
    let recovery: ClaimRecovery
    let redis: RedisClient
    let relay: SalesRelay
    let delivery: Delivery
    /// Nil where this service does all duties alone.
    let duties: Duties?

    /// Checks Redis and runs recovery. Once it has compared all gates, a service that does not do the duties only looks. Throws also where
    /// campaigns have no gate yet, so that the caller tries again.
    func run() async throws {
        try await check.run()
        let isDuty = duties?.areHeld ?? true
        if isDuty || !recovery.hasCompared {
            // A claim whose reply takes longer than the command deadline has failed for its client, so only recovery writes its row.
            try await recovery.run(
                deep: false, grace: .nanoseconds(redis.configuration.commandDeadline.nanoseconds), archives: isDuty)
        } else {
            try await recovery.look()
        }
        let missing = recovery.unloadedCampaigns ?? []
        if missing.isEmpty { return recovery.noteSuccess() }
        // Gates of a primary that is away are recovered after its reconnect.
        let reachable = missing.count(where: recovery.isReachable)
        if reachable > 0 { throw ServiceError(.paused, "\(reachable) campaigns have no gate yet") }
    }

    /// Makes the sales relay and the stream delivery read their offsets from Redis again.
    func forgetOffsets(reconnected: Bool = false) {
        relay.forgetOffset(reconnected: reconnected)
        relay.wakeup.raise()
        delivery.forgetLast()
    }

    /// Drops everything that was read from Redis. Call it after a reconnect, which may lead to another Redis or to one that has lost data.
    func forgetAll() {
        recovery.forgetStates()
        forgetOffsets(reconnected: true)
    }
}
