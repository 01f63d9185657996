import Commerce
import NIOCore
import Redis
import Store
import Synchronization

/// What a claim needs of its campaign at once: the call of the script, rendered once, and what the store says of the gate.
///
/// The campaigns live in a mutex. There are as many as anybody has asked for; a flood of unknown ids starts over.
final class KnownCampaigns: Sendable {
    private struct Known {
        var campaigns: [CouponID: KnownCampaign] = [:]
        /// The campaigns that were asked for last, by the last bits of their ids: most claims are of few campaigns.
        var recent = [KnownCampaign?](repeating: nil, count: 256)
    }

    private let known = Mutex(Known())

    private static let maximum = 20_000
    private let lease: TimeAmount

    /// - Parameter lease: how long a word of a gate counts for claims that come after it.
    init(lease: TimeAmount) { self.lease = lease }

    subscript(_ coupon: CouponID) -> KnownCampaign {
        known.withLock { known in
            let slot = Int(truncatingIfNeeded: coupon.rawValue) & 255
            if let campaign = known.recent[slot], campaign.coupon == coupon { return campaign }
            if let campaign = known.campaigns[coupon] {
                known.recent[slot] = campaign
                return campaign
            }
            if known.campaigns.count >= Self.maximum {
                // Dropped campaigns hear of no change any more, so the loops' copies of them have to end now.
                for campaign in known.campaigns.values { campaign.forget() }
                known = Known()
            }
            let campaign = KnownCampaign(coupon, lease: lease)
            known.campaigns[coupon] = campaign
            known.recent[slot] = campaign
            return campaign
        }
    }

    /// To be called after each commit that may have changed the campaign, and before anybody is told of it.
    ///
    /// A campaign that is not here needs no word: what is not known is read from the store.
    func forget(_ coupon: CouponID) {
        known.withLock { $0.campaigns[coupon] }?.forget()
    }

    /// Makes room for the holders of one more campaign: beyond the limit all campaigns start over.
    func makeRoomForHolders() {
        let campaigns = known.withLock { Array($0.campaigns.values) }
        guard campaigns.reduce(0, { $0 + $1.holderBytes }) > Self.maximumHolderBytes else { return }
        for campaign in campaigns { campaign.dropHolders() }
    }

    private static let maximumHolderBytes = 32 << 20
}

/// One campaign as the claims know it. What the store says lives in a mutex of its own.
final class KnownCampaign: Sendable {
    private struct Memory {
        var terms: GateTerms?
        var gate: GateMemory
        /// How often it was forgotten: what was read before that must not come in after it.
        var generation: UInt64 = 0
    }

    let coupon: CouponID
    private let call: RedisPreparedCall
    private let lease: TimeAmount
    private let memory: Mutex<Memory>
    /// Rises with everything that ends what copies of this campaign's memory say. Written under the mutex, read by every loop.
    let version = Atomic<UInt64>(0)

    init(_ coupon: CouponID, lease: TimeAmount) {
        (self.coupon, self.lease) = (coupon, lease)
        memory = Mutex(Memory(gate: GateMemory(lease: lease)))
        call = RedisPreparedCall(Scripts.claimCoupon, keys: CouponGate.keys(coupon))
    }

    /// The call of `claim_coupon`, to which a claim adds no more than the user's id.
    func claim(by user: UserID) -> RedisCommand { RedisCommand(call, arguments: [user.rawValue]) }

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
            memory.gate = GateMemory(lease: lease)
            version.wrappingAdd(1, ordering: .releasing)
        }
    }
}

// MARK: - What the gate said lately

extension KnownCampaign {
    /// A claim on its way to the gate: what comes back counts from when it left, and not at all after a change.
    struct Question: Sendable {
        fileprivate let generation: UInt64
        fileprivate let askedAt: NIODeadline
    }

    /// What is known of a claim before the gate is asked.
    enum Recollection {
        case soldOut
        case unknown(Question)
    }

    /// The refusal that the gate would give to a user who is not known to have the coupon, where that is certain.
    func recall(_ user: UserID, at now: NIODeadline) -> Recollection {
        memory.withLock { memory in
            if let holders = memory.gate.holders, !holders.contains(user), memory.gate.isSoldOut.holds(at: now) {
                return .soldOut
            }
            return .unknown(Question(generation: memory.generation, askedAt: now))
        }
    }

    /// Whether the gate has lately been seen open in the epoch of the store: then it tells those who have the coupon so.
    func isKnownOpen(at now: NIODeadline) -> Bool {
        memory.withLock { $0.gate.isOpen.holds(at: now) }
    }

    /// A claim that leaves for the gate now.
    func question(at now: NIODeadline) -> Question {
        Question(generation: memory.withLock { $0.generation }, askedAt: now)
    }

    /// Notes that the gate gave the user's place in the epoch of the store.
    func noteOpen(_ question: Question, epoch: Int64) {
        memory.withLock { memory in
            guard memory.generation == question.generation, memory.terms?.epoch == epoch else { return }
            memory.gate.isOpen.renew(askedAt: question.askedAt)
        }
    }

    /// Notes that the gate is sold out on the store's own terms; answers those terms where the holders are to be read now.
    func noteSoldOut(_ question: Question) -> GateTerms? {
        memory.withLock { memory in
            guard memory.generation == question.generation, let terms = memory.terms else { return nil }
            memory.gate.isOpen.renew(askedAt: question.askedAt)
            memory.gate.isSoldOut.renew(askedAt: question.askedAt)
            return memory.gate.wantsHolders(ofQuantity: terms.quantity) ? terms : nil
        }
    }

    /// Keeps the holders of a gate that was sold out when asked; without them the reading is over and may begin again.
    func keep(_ holders: UserSet?, of question: Question) {
        memory.withLock { memory in
            guard memory.generation == question.generation else { return }
            memory.gate.isLoadingHolders = false
            memory.gate.holders = holders
            version.wrappingAdd(1, ordering: .releasing)
        }
    }

    /// What a loop may copy: that nothing is left, who has a coupon, and how long the copy counts.
    struct SoldOut {
        let holders: UserSet
        let until: NIODeadline
        let version: UInt64
    }

    /// Nil where that is not known, or the lease is in its second half.
    func soldOut(at now: NIODeadline) -> SoldOut? {
        memory.withLock { memory in
            guard let holders = memory.gate.holders, let until = memory.gate.isSoldOut.firstHalfEnd, now < until else { return nil }
            return SoldOut(holders: holders, until: until, version: version.load(ordering: .relaxed))
        }
    }

    /// Memory that the holders take.
    var holderBytes: Int { memory.withLock { $0.gate.holders?.bytes ?? 0 } }

    /// Drops what was kept of the holders.
    func dropHolders() {
        memory.withLock { memory in
            memory.gate.holders = nil
            version.wrappingAdd(1, ordering: .releasing)
        }
    }
}
