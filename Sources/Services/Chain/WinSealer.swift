import Commerce
import Logging
import Redis
import Store
import Synchronization

/// Adds the hashes of new wins to the chains of their campaigns, in the order of their sequences, see `WinChain`.
///
/// Wins are sealed up to the first sequence that has no row. This gap is skipped once no row can be written for it any more. One of several
/// services does this; two at once do no harm, because a step goes on from the head that the store has, or is refused.
final class WinSealer: Sendable {
    private let store: TransactionalStore
    private let redis: RedisClient
    let feed: WinFeed
    private let state = Mutex(State())

    private struct State {
        /// The heads of campaigns that were sealed last, with wins that wait for those before them.
        var known: [CouponID: Known] = [:]
        /// Campaigns with a gap, which is looked at again.
        var waiting: Set<CouponID> = []
        /// Whether archived campaigns were looked at, whose wins an earlier version did not seal.
        var hasLookedAtAll = false
    }

    private struct Known {
        var head: ChainHead
        let chain: WinChain
        var pending: [ChainedWin] = []
    }

    /// For how long wins are gathered for one commit. It costs about as much for one as for hundreds.
    static let gathering = Duration.milliseconds(500)
    /// How many wins one query reads, and one commit seals: with more, other writes would wait for milliseconds.
    static let winsPerStep = 4_096
    /// The pause after such a step where more is to do: neighbours come first.
    private static let rest = Duration.milliseconds(10)
    /// The time after which a campaign with a gap is tried again.
    private static let gapPause = Duration.milliseconds(200)
    private static let knownLimit = 1_000

    init(store: TransactionalStore, redis: RedisClient, feed: WinFeed) {
        (self.store, self.redis, self.feed) = (store, redis, feed)
    }

    /// The time after which wins are looked for, of which the feed has told nothing: those that other services wrote.
    var interval: Duration { store.isOnServer ? .seconds(1) : .seconds(10) }

    /// Drops what is known, because another service may have gone on with it.
    func startOver() { state.withLock { $0 = State() } }

    /// Seals what can be sealed.
    ///
    /// - Returns: the time until the next step where a gap waits; nil where none does.
    func step() async throws -> Duration? {
        let new = feed.take()
        let (waiting, hasLookedAtAll) = state.withLock { state in
            defer { state.waiting = [] }
            return (state.waiting, state.hasLookedAtAll)
        }
        var due = waiting.union(new.keys)
        if new.isEmpty || store.isOnServer || !hasLookedAtAll {
            due.formUnion(try await store.snapshot { snapshot throws(StoreError) in try snapshot.unsealedCampaigns(live: hasLookedAtAll) })
        }
        for coupon in due.sorted() {
            do {
                if try await seal(coupon, new[coupon], isWaiting: waiting.contains(coupon)) { continue }
                state.withLock { _ = $0.waiting.insert(coupon) }
            } catch {
                forget(coupon)
                feed.look(at: coupon)
                throw error
            }
        }
        state.withLock { $0.hasLookedAtAll = true }
        return state.withLock { $0.waiting.isEmpty } ? nil : Self.gapPause
    }

    private func forget(_ coupon: CouponID) { state.withLock { $0.known[coupon] = nil } }

    private func note(_ known: Known, of coupon: CouponID) {
        state.withLock { state in
            if state.known.count >= Self.knownLimit { state.known = [:] }
            state.known[coupon] = known
        }
    }

    /// - Parameter isWaiting: whether the step before found a gap.
    /// - Returns: whether no win waits for one before it.
    private func seal(_ coupon: CouponID, _ entry: WinFeed.Entry?, isWaiting: Bool) async throws -> Bool {
        if let entry, !entry.isPartial, var known = state.withLock({ $0.known[coupon] }) {
            known.pending += entry.wins
            if try await sealPending(&known, of: coupon) {
                note(known, of: coupon)
                return known.pending.isEmpty
            }
        }
        forget(coupon)
        return try await sealStored(coupon)
    }

    /// Seals the wins that are in memory.
    ///
    /// - Returns: false where the store has to be read: after another's step, and where nothing could be sealed.
    private func sealPending(_ known: inout Known, of coupon: CouponID) async throws -> Bool {
        known.pending.sort { $0.sequence < $1.sequence }
        var rest = known.pending[...]
        while true {
            var growth = ChainGrowth(of: coupon, from: known.head, known.chain)
            let before = rest.count
            while let win = rest.first, win.sequence <= growth.head.sequence + 1, before - rest.count < Self.winsPerStep {
                rest.removeFirst()
                // A win at or below the head was sealed by reading it.
                if win.sequence > growth.head.sequence { growth.add(win) }
            }
            guard rest.count < before else { break }
            if growth.head != growth.from {
                guard try await store.seal(growth, of: coupon) else { return false }
                known.head = growth.head
            }
        }
        guard rest.count < known.pending.count, rest.count <= WinFeed.limit else { return false }
        known.pending = Array(rest)
        return true
    }

    /// Reads and seals the wins after the head.
    ///
    /// - Returns: whether all are sealed.
    private func sealStored(_ coupon: CouponID) async throws -> Bool {
        /// The last sequence of the gap that may be skipped, as long as the campaign has this epoch.
        var passed: (epoch: Int64, through: Int64) = (0, 0)
        while true {
            let found = try await store.snapshot { snapshot throws(StoreError) -> (CampaignChain, [ChainedWin])? in
                guard let chain = try snapshot.chain(of: coupon) else { return nil }
                let head = chain.campaign.chain
                return (chain, try snapshot.wins(of: coupon, afterSequence: head.sequence, limit: Self.winsPerStep))
            }
            guard let (chained, wins) = found else { return true }
            let campaign = chained.campaign
            var growth = ChainGrowth(of: coupon, from: campaign.chain, chained.chain)
            let isFinal = { (sequence: Int64) in campaign.isArchived || campaign.epoch == passed.epoch && sequence <= passed.through }
            for win in wins {
                guard win.sequence == growth.head.sequence + 1 || isFinal(win.sequence - 1) else { break }
                growth.add(win)
            }
            if growth.head != growth.from {
                // Another service has gone on meanwhile: read again.
                guard try await store.seal(growth, of: coupon) else { continue }
                note(Known(head: growth.head, chain: chained.chain), of: coupon)
            }
            guard let next = wins.first(where: { $0.sequence > growth.head.sequence }) else {
                if wins.count < Self.winsPerStep { return true }
                try await Task.sleep(for: Self.rest)
                continue
            }
            guard await isFree(of: campaign, from: growth.head.sequence + 1, before: next.sequence) else { return false }
            passed = (campaign.epoch, next.sequence - 1)
        }
    }

    /// Whether the sequences of a gap are lost for ever: the present gate has granted later ones, and none of its claims has one of these.
    ///
    /// The rows have to be read again afterwards: one of these sequences may have been written meanwhile. Where Redis does not answer, the
    /// gap waits, and other campaigns go on.
    private func isFree(of campaign: Campaign, from first: Int64, before next: Int64) async -> Bool {
        guard let gate = try? await CouponGate.states(of: [campaign.id], through: redis)[0], gate.isOf(store.identity), gate.isOpen,
            gate.epoch == campaign.epoch, let granted = gate.sequence, granted >= next - 1,
            let claims = try? await CouponGate.claims(of: campaign.id, from: first, limit: 1, through: redis)
        else { return false }
        return claims.first.map { $0.sequence >= next } ?? true
    }
}
