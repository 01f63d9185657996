import Commerce
import Redis
import Store

extension CouponGate {
    /// A build that has not written for so long is abandoned, and any service may take its gate over. A builder waits no longer for one
    /// call of `load_claims` than the Redis client's command deadline, 2 s; one that still runs writes more often than that.
    static let takeoverSilence: Duration = .milliseconds(takeoverMilliseconds)
    static let takeoverMilliseconds: Int64 = 2_000

    /// The epochs of gates that are believed: 14 digits. A gate with a greater one is replaced like one without an epoch, because the next
    /// epoch must fit into the 15 digits that `load_coupon` takes.
    static let epochs: Range<Int64> = 0..<100_000_000_000_000

    /// Looks at a gate until its two keys were seen at one moment: they are read by two commands, and a claim may fall between these.
    ///
    /// An inconsistent gate is inconsistent in every look.
    static func settledState(of coupon: CouponID, through redis: RedisClient) async throws -> GateState? {
        var state: GateState?
        for _ in 0..<settlingLooks {
            state = try await states(of: [coupon], through: redis)[0]
            guard let state, state.isOpen, !state.isConsistent else { break }
        }
        return state
    }

    private static let settlingLooks = 5

    /// Removes the gates of archived campaigns in one round trip.
    ///
    /// - Returns: those that are gone; a gate of a later epoch than the campaign's stays.
    static func archive(_ gates: [ArchivedGate], through redis: RedisClient) async throws -> [ArchivedGate] {
        let replies = try await redis.pipeline(
            gates.map { RedisCommand(Scripts.archiveCoupon, keys: keys($0.id), arguments: [.integer($0.epoch)]) })
        return try zip(gates, replies).compactMap { gate, reply in
            if case .error(let error) = reply { throw RedisError(error) }
            return try ScriptAnswer<ArchiveCode>(reply, of: Scripts.archiveCoupon).code == .removed ? gate : nil
        }
    }
}

extension CouponGate.GateState {
    /// The epoch of the store's gate, 0 where it has none that a script could have written or is of another store.
    func loadedEpoch(of store: StoreIdentity) -> Int64 {
        guard isOf(store), let epoch, CouponGate.epochs.contains(epoch) else { return 0 }
        return epoch
    }
}
