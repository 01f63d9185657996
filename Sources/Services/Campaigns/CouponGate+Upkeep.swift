import Commerce
import Redis
import Store

extension CouponGate {
    /// A build that has not written to its gate for this long counts as abandoned, and any service may build the gate.
    ///
    /// A running build writes more often: it waits for one call of `load_claims` no longer than the Redis client's command deadline, 2 s.
    static let takeoverSilence: Duration = .milliseconds(takeoverMilliseconds)
    static let takeoverMilliseconds: Int64 = 2_000

    /// The valid epochs of gates: up to 14 digits. A gate with a greater epoch is treated like one without an epoch, because the next epoch
    /// must fit into the 15 digits that `load_coupon` takes.
    static let epochs: Range<Int64> = 0..<100_000_000_000_000

    /// Reads a gate, and reads it again where it seems inconsistent: its two keys are read by two commands, and a claim may come in
    /// between.
    ///
    /// A gate that is inconsistent in all five reads is returned as it is.
    static func settledState(of coupon: CouponID, through redis: RedisClient) async throws -> GateState? {
        var state: GateState?
        for _ in 0..<settlingReads {
            state = try await states(of: [coupon], through: redis)[0]
            guard let state, state.isOpen, !state.isConsistent else { break }
        }
        return state
    }

    private static let settlingReads = 5

    /// Removes the gates of archived campaigns in one round trip.
    ///
    /// - Returns: the gates that no longer exist. A gate of a later epoch than the campaign's is not removed.
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
    /// The gate's epoch; 0 where it has no valid one, or where the gate is of another store.
    func loadedEpoch(of store: StoreIdentity) -> Int64 {
        guard isOf(store), let epoch, CouponGate.epochs.contains(epoch) else { return 0 }
        return epoch
    }
}
