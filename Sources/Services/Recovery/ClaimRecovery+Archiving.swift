import Commerce
import FaultPoints
import Logging
import Redis
import Store
import Synchronization

extension ClaimRecovery {
    /// Removes the gates of campaigns that ended before `limit`, 200 at a time in two commits and two round trips beside the comparison
    /// of gates that exist: after an upgrade thousands may be due at once.
    ///
    /// A gate with claims that the store does not have keeps its campaign live until these are persisted. The store marks a campaign
    /// before its gate goes, with a new epoch: a claim that the gate still grants is refused as stale. What a crash leaves
    /// marked is removed by the next run.
    func archive(
        _ campaigns: [Campaign], endedBefore limit: Instant, at now: Instant, _ findings: inout Findings
    ) async throws {
        var count = 0
        for chunk in Self.chunks(of: campaigns) {
            let states = try await CouponGate.states(of: chunk.map(\.id), through: redis)
            var (gates, candidates): ([ArchivedGate], [ArchivalCandidate]) = ([], [])
            for ((campaign, gate), result) in await sideBySide(Array(zip(chunk, states)), { [self] in try await lastComparison($0, $1) }) {
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

    /// The claims of a campaign's last gate that the store does not have; nil while another service builds the gate.
    ///
    /// A gate that contradicts the store, or is of another epoch, grants nothing: it goes as it is.
    private func lastComparison(_ campaign: Campaign, _ gate: Gate?) async throws -> [GrantedClaim]? {
        guard let gate, !campaign.isArchived else { return [] }
        if !gate.isOpen, gate.silenceMilliseconds < CouponGate.takeoverMilliseconds { return nil }
        guard gate.isOf(store.identity), gate.isOpen, gate.epoch == campaign.epoch else { return [] }
        return try await comparison(of: campaign, from: Verified(epoch: campaign.epoch), through: gate.sequence ?? 0)?.unwritten ?? []
    }

    /// After a reconnect an older state of Redis may have brought back gates of campaigns that are archived.
    func removeArchivedGates(at now: Instant, _ look: Look) async throws {
        let start = now.advanced(byMilliseconds: -Self.archivedMilliseconds) ?? Instant(milliseconds: 0)
        let gates = try await store.snapshot { snapshot throws(StoreError) in
            try snapshot.gatesArchived(since: start, limit: Self.archivedLimit)
        }
        for start in stride(from: 0, to: gates.count, by: Self.gatesPerRead) {
            _ = try await CouponGate.archive(Array(gates[start..<min(start + Self.gatesPerRead, gates.count)]), through: redis)
        }
        state.withLock { if $0.generation == look.generation { $0.hasRemovedArchivedGates = true } }
    }
}
