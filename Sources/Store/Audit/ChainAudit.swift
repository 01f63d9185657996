import Commerce

extension Snapshot {
    /// Checks invariant 9: computes the hashes of every sealed win anew and compares them with those that the store has.
    func auditChains() throws(StoreError) -> AuditResult {
        var (rows, count): (Int64, Int64) = (0, 0)
        var violations: [String] = []
        for id in try campaigns().map(\.id) {
            guard let chained = try chain(of: id) else { continue }
            let faults = try faults(of: chained)
            rows += faults.rows
            count += Int64(faults.violations.count)
            violations += faults.violations.prefix(100 - min(violations.count, 100))
        }
        return AuditResult(
            invariant: 9, claim: "the sealed wins of each campaign lead by their hashes to the head that it shows", rowsChecked: rows,
            violationCount: count, violations: violations)
    }

    private static let winsPerPage = 4_096

    /// The first fault of a campaign's chain, since every hash after it is wrong too, and how many wins it has.
    private func faults(of chained: CampaignChain) throws(StoreError) -> (rows: Int64, violations: [String]) {
        let (id, shown) = (chained.campaign.id, chained.campaign.chain)
        var head = ChainHead.none
        while head.sequence < shown.sequence {
            let page = try wins(of: id, afterSequence: head.sequence, limit: Self.winsPerPage)
            let wins = page.prefix { $0.sequence <= shown.sequence }
            guard let first = wins.first, let last = wins.last else { break }
            let blocks = try chainBlocks(of: id, covering: min(first.sequence, last.sequence)...last.sequence)
            let stored = Dictionary(blocks.map { ($0.number, $0) }) { first, _ in first }
            for win in wins {
                guard win.sequence > head.sequence else { return (head.count, ["coupon \(id): sequence \(win.sequence) comes twice"]) }
                let previous = head.previous(in: id)
                let hash = chained.chain.hash(after: previous, sequence: win.sequence, user: win.userID, issuedAt: win.issuedAt)
                guard let sealed = stored[ChainBlock.number(of: win.sequence)]?.hash(of: win.sequence), sealed == (previous, hash) else {
                    let what = "sequence \(win.sequence) has another hash than its win and the one before it give"
                    return (head.count + 1, ["coupon \(id): \(what)"])
                }
                head = ChainHead(sequence: win.sequence, count: head.count + 1, hash: hash)
            }
        }
        guard head == shown else {
            let found = "\(head.count) wins lead to sequence \(head.sequence)"
            return (max(head.count, 1), ["coupon \(id): \(found), and the head is of \(shown.count) wins and sequence \(shown.sequence)"])
        }
        return (head.count, [])
    }
}
