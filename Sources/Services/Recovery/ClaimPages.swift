import Commerce
import Redis
import Store

/// Reads a list page by page. The last page is the first one that is not full; it may be empty.
struct Pages<Element: Sendable>: AsyncSequence {
    let size: Int
    /// Where the first page begins.
    let start: Int64
    /// Where the page after this element begins.
    let position: @Sendable (Element) -> Int64
    let read: @Sendable (_ position: Int64) async throws -> [Element]

    func makeAsyncIterator() -> Iterator { Iterator(pages: self, next: start) }

    struct Iterator: AsyncIteratorProtocol {
        let pages: Pages
        var next: Int64?

        mutating func next() async throws -> [Element]? {
            guard let position = next else { return nil }
            let page = try await pages.read(position)
            next = page.count == pages.size ? page.last.map(pages.position) : nil
            return page
        }
    }
}

extension TransactionalStore {
    /// The issued coupons of a campaign after a sequence, in the order of their sequences.
    func claimPages(of id: CouponID, afterSequence sequence: Int64 = 0, size: Int) -> Pages<IssuedClaim> {
        Pages(size: size, start: sequence, position: { $0.sequence }) { try await self.claims(of: id, afterSequence: $0, limit: size) }
    }
}

extension CouponGate {
    /// The claims that a gate has granted from a sequence on, in the order of their sequences.
    static func claimPages(
        of id: CouponID, from sequence: Int64 = 0, size: Int, through redis: RedisClient
    ) -> Pages<ClaimRecovery.GrantedClaim> {
        Pages(size: size, start: sequence, position: { $0.sequence + 1 }) {
            try await claims(of: id, from: $0, limit: size, through: redis)
        }
    }
}
