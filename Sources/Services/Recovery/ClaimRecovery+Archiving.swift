import Commerce
import FaultPoints
import Logging
import Redis
import Store
import Synchronization

extension ClaimRecovery {
    /// Archives the campaigns that ended before `limit`: marks them in the store and removes their gates.
    ///
    /// 200 campaigns at a time share two commits and two round trips, because thousands may be due after an upgrade. Gates that exist are
    /// compared with the store first; a campaign with claims that the store does not have stays live until they are written.
    ///
    /// A campaign is marked, with a new epoch, before its gate is removed. So a claim that the gate still grants is refused as stale. The
    /// gate of a campaign that was marked before a crash is removed by the next run.
    func archive(
        _ campaigns: [Campaign], endedBefore limit: Instant, at now: Instant, _ findings: inout Findings
    ) async throws {
        var count = 0
        for chunk in Self.chunks(of: campaigns) {
            let states = try await readableStates(of: chunk, &findings)
            var (gates, candidates): ([ArchivedGate], [ArchivalCandidate]) = ([], [])
            for ((campaign, gate), result) in await concurrently(states, { [self] in try await lastComparison($0, $1) }) {
                let unwritten: [GrantedClaim]
                switch result {
                case .success(let claims?): unwritten = claims
                case .success(nil): continue
                case .failure(let error):
                    findings.add(error, of: campaign.id)
                    continue
                }
                if !unwritten.isEmpty {
                    findings.unwritten.append((campaign, unwritten))
                } else if campaign.isArchived, gate?.loadedEpoch(of: store.identity) ?? 0 <= campaign.epoch {
                    gates.append(ArchivedGate(id: campaign.id, epoch: campaign.epoch))
                } else {
                    candidates.append(
                        ArchivalCandidate(
                            id: campaign.id, epoch: campaign.epoch, gateEpoch: gate?.loadedEpoch(of: store.identity) ?? 0))
                }
            }
            if !candidates.isEmpty { gates += try await self.store.beginArchiving(candidates, endedBefore: limit, at: now) }
            if gates.isEmpty { continue }
            FaultPoint.betweenStoreAndGate.reached()
            let removed = try await CouponGate.archive(gates, through: redis)
            if !removed.isEmpty { try await store.finishArchiving(removed) }
            count += removed.count
        }
        if count > 0 { logger.info("campaigns archived", metadata: ["count": "\(count)"]) }
    }

    /// The claims of a campaign's gate that the store does not have; nil while another service builds the gate.
    ///
    /// Empty for a gate that contradicts the store or has another epoch: its wins would be refused, so it is removed without a comparison.
    private func lastComparison(_ campaign: Campaign, _ gate: Gate?) async throws -> [GrantedClaim]? {
        guard let gate, !campaign.isArchived else { return [] }
        if !gate.isOpen, gate.silenceMilliseconds < CouponGate.takeoverMilliseconds { return nil }
        guard gate.isOf(store.identity), gate.isOpen, gate.epoch == campaign.epoch else { return [] }
        return try await comparison(of: campaign, from: Verified(epoch: campaign.epoch), through: gate.sequence ?? 0)?.unwritten ?? []
    }

    /// Removes gates of archived campaigns, which an older snapshot of Redis may have brought back.
    func removeArchivedGates(at now: Instant, _ run: Run) async throws {
        let start = now.advanced(byMilliseconds: -Self.archivedMilliseconds) ?? Instant(milliseconds: 0)
        let gates = try await store.snapshot { snapshot throws(StoreError) in
            try snapshot.gatesArchived(since: start, limit: Self.archivedLimit)
        }
        for start in stride(from: 0, to: gates.count, by: Self.gatesPerRead) {
            _ = try await CouponGate.archive(Array(gates[start..<min(start + Self.gatesPerRead, gates.count)]), through: redis)
        }
        state.withLock { if $0.generation == run.generation { $0.hasRemovedArchivedGates = true } }
    }
}
