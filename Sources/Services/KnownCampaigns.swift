import Commerce
import Redis
import Store
import Synchronization

/// What a claim needs of its campaign at once: the call of the script, rendered once, and what the store says of the gate.
///
/// The campaigns live in a mutex. There are as many as anybody has asked for; a flood of unknown ids starts over.
final class KnownCampaigns: Sendable {
    private let known = Mutex<[CouponID: KnownCampaign]>([:])

    private static let maximum = 20_000

    subscript(_ coupon: CouponID) -> KnownCampaign {
        known.withLock { known in
            if let campaign = known[coupon] { return campaign }
            if known.count >= Self.maximum { known.removeAll() }
            let campaign = KnownCampaign(coupon)
            known[coupon] = campaign
            return campaign
        }
    }

    /// To be called after each commit that may have changed the campaign, and before anybody is told of it.
    ///
    /// A campaign that is not here needs no word: what is not known is read from the store.
    func forget(_ coupon: CouponID) {
        known.withLock { $0[coupon] }?.forget()
    }
}

/// One campaign as the claims know it. What the store says lives in a mutex of its own.
final class KnownCampaign: Sendable {
    private struct Memory {
        var terms: GateTerms?
        /// How often it was forgotten: what was read before that must not come in after it.
        var generation: UInt64 = 0
    }

    private let coupon: CouponID
    private let call: RedisPreparedCall
    private let memory = Mutex(Memory())

    init(_ coupon: CouponID) {
        self.coupon = coupon
        call = RedisPreparedCall(Scripts.claimCoupon, keys: CouponGate.keys(coupon), argumentCount: 1)
    }

    /// The call of `claim_coupon`, to which a claim adds no more than the user's id.
    func claim(by user: UserID) -> RedisCommand { RedisCommand(call, .integer(user.rawValue)) }

    /// What the store says of the gate; `nil` where it knows no such campaign. Reads the store only after a change.
    func terms(from reader: PointReader) throws(StoreError) -> GateTerms? {
        let (known, generation) = memory.withLock { ($0.terms, $0.generation) }
        if let known { return known }
        guard let campaign = try reader.campaign(coupon) else { return nil }
        let terms = GateTerms(campaign)
        remember(terms, asOf: generation)
        return terms
    }

    /// Keeps what was read while the generation stood, unless a change has come since.
    func remember(_ terms: GateTerms, asOf generation: UInt64) {
        memory.withLock { if $0.generation == generation { $0.terms = terms } }
    }

    func forget() {
        memory.withLock { memory in
            memory.generation += 1
            memory.terms = nil
        }
    }
}
