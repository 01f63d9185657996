import Commerce
import FaultPoints
import Redis
import Store

/// How the users of one call come to their outcomes. The gate decides who wins, and the store has the last word, as for ``Claims``.
extension Grants {
    /// What must be done before users are decided again, because gate and store disagree.
    private enum Repair: Hashable {
        case build(beyond: Int64?)
        case realign
    }

    /// The users of one call, with the outcomes that are known so far.
    private struct Progress {
        let users: [UserID]
        var outcomes: [GrantOutcome?]
        var repairs: Set<Repair> = []

        init(_ users: [UserID]) { (self.users, outcomes) = (users, users.map { _ in nil }) }

        /// The places of the users without an outcome.
        var open: [Int] { outcomes.indices.filter { outcomes[$0] == nil } }
    }

    private static let attempts = 5

    /// Decides for users, each of whom is named once.
    func decide(_ users: [UserID], of grant: Grant) async throws -> [GrantOutcome] {
        var progress = Progress(users)
        try await findUnknown(&progress)
        for _ in 0..<Self.attempts {
            guard !progress.open.isEmpty else { break }
            guard let campaign = try await reader.find(campaign: grant.couponID).row else {
                throw StoreError(.internal, "the campaign of grant \(grant.id) does not exist")
            }
            guard !campaign.isArchived else {
                try await decideArchived(&progress, grant)
                break
            }
            try await ask(campaign, &progress, grant)
            do {
                for repair in progress.repairs {
                    switch repair {
                    case .build(let epoch): try await campaigns.build(campaign.id, beyond: epoch, waits: true)
                    case .realign: _ = try await campaigns.realign(campaign.id)
                    }
                }
            } catch let error as ServiceError where error.code == .archived {
                // Read again, the campaign is archived.
            }
            progress.repairs = []
        }
        let outcomes = progress.outcomes.compactMap { $0 }
        guard outcomes.count == users.count else { throw ServiceError(.paused, "the campaign's gate is being rebuilt") }
        return outcomes
    }

    /// Finds the users who do not exist. They are not shown to the gate, which knows no users.
    private func findUnknown(_ progress: inout Progress) async throws {
        guard let greatest = progress.users.max() else { return }
        // Another service may have made the user. The look-up also tells how many users there are.
        if store.isOnServer, !store.userExists(greatest) { _ = try await reader.find(user: greatest).row }
        for index in progress.open where !store.userExists(progress.users[index]) { progress.outcomes[index] = .unknownUser }
    }

    /// An archived campaign has no gate: the store has all its coupons.
    private func decideArchived(_ progress: inout Progress, _ grant: Grant) async throws {
        let open = progress.open
        let coupons = try await reader.find(couponsOf: grant.couponID, users: open.map { progress.users[$0] }).row
        for (index, coupon) in zip(open, coupons) { progress.outcomes[index] = coupon.map { outcome(of: $0, grant) } ?? .closed }
    }

    /// Asks the gate, writes the wins, and checks the refusals. A user about whom gate and store disagree stays open.
    private func ask(_ campaign: Campaign, _ progress: inout Progress, _ grant: Grant) async throws {
        let open = progress.open
        let verdicts = try await verdicts(on: campaign, of: open.map { progress.users[$0] })
        var places: [(index: Int, place: CouponGate.Place)] = []
        var refusals: [(index: Int, terms: CouponGate.RefusalTerms)] = []
        for (index, verdict) in zip(open, verdicts) {
            switch verdict {
            case .claimed(let place), .alreadyClaimed(let place): places.append((index, place))
            case .refused(let terms): refusals.append((index, terms))
            case .paused(let silence):
                guard silence >= CouponGate.takeoverMilliseconds else {
                    throw ServiceError(.paused, "the campaign's gate is being rebuilt")
                }
                progress.repairs.insert(.build(beyond: nil))
            case .notLoaded, .otherStore: progress.repairs.insert(.build(beyond: nil))
            case .damaged(let epoch): progress.repairs.insert(.build(beyond: epoch))
            }
        }
        if !places.isEmpty { try await write(places, on: campaign, &progress, grant) }
        if !refusals.isEmpty { try await check(refusals, on: campaign, &progress) }
    }

    private func verdicts(on campaign: Campaign, of users: [UserID]) async throws -> [CouponGate.Verdict] {
        do {
            return try await CouponGate.grant(campaign.id, of: store.identity, to: users, through: redis)
        } catch let error as RedisError where error.code == .server(.wrongType) {
            // A key of another Redis type means that the gate is damaged.
            return users.map { _ in .damaged(epoch: campaign.epoch) }
        }
    }

    /// Writes the rows of users who have a place at the gate: a new one, or one from before, whose row may be missing.
    private func write(
        _ places: [(index: Int, place: CouponGate.Place)], on campaign: Campaign, _ progress: inout Progress, _ grant: Grant
    ) async throws {
        FaultPoint.afterGrantScript.reached()
        let users = progress.users
        let writes = places.map { index, place in
            ClaimWrite(
                Claim(couponID: campaign.id, userID: users[index], sequence: place.sequence, epoch: place.epoch, issuedAt: place.at))
        }
        var (isAhead, new): (Bool, [ChainedWin]) = (false, [])
        for ((index, place), record) in zip(places, try await store.recordClaims(writes, of: campaign.id)) {
            switch record {
            case .done(.issued(let coupon)):
                new.append(ChainedWin(coupon))
                progress.outcomes[index] = .granted
                isAhead = isAhead || place.at < campaign.terms.opensAt
            case .done(.known(let coupon)): progress.outcomes[index] = outcome(of: coupon, grant)
            case .done(.stale): progress.repairs.insert(.build(beyond: place.epoch))
            case .done(.userMissing): progress.outcomes[index] = .unknownUser
            // There is a row, which cannot be read. The list must not wait for its repair.
            case .done(.malformed): progress.outcomes[index] = .alreadyHeld
            case .done(.campaignMissing), .refused, .replayed:
                throw StoreError(.internal, "a grant's coupons were not written: \(record)")
            }
        }
        wins.add(new, of: campaign.id)
        // Event loops may have cached that nobody has a coupon before the window opens.
        if isAhead { store.rowVersions.raise(campaign.id.rawValue, in: .campaigns) }
    }

    private func outcome(of coupon: IssuedCoupon, _ grant: Grant) -> GrantOutcome {
        coupon.id > grant.lastCouponBefore ? .granted : .alreadyHeld
    }

    /// Accepts refusals that rest on the store's terms and concern users without a row.
    private func check(
        _ refusals: [(index: Int, terms: CouponGate.RefusalTerms)], on campaign: Campaign, _ progress: inout Progress
    ) async throws {
        let coupons = try await reader.find(couponsOf: campaign.id, users: refusals.map { progress.users[$0.index] }).row
        for (refusal, coupon) in zip(refusals, coupons) {
            guard coupon == nil else {
                // The user has a row, so the gate has lost the claim.
                progress.repairs.insert(.build(beyond: refusal.terms.epoch))
                continue
            }
            switch GateTerms(campaign).compare(with: refusal.terms) {
            case .otherEpoch: progress.repairs.insert(.build(beyond: nil))
            case .otherTerms: progress.repairs.insert(.realign)
            case .agrees:
                switch refusal.terms.reason {
                case .soldOut: progress.outcomes[refusal.index] = .soldOut
                case .closed: progress.outcomes[refusal.index] = .closed
                case .notOpen: throw ServiceError(.internal, "a grant was refused because of its window")
                }
            }
        }
    }
}
