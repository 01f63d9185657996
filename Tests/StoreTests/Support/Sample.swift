import Commerce
import GRDB
import Testing

@testable import Store

extension TransactionalStore {
    /// Users 1 to `count`, each with the balance.
    func makeUsers(_ count: Int, balance: Int64 = 0) async throws -> [UserID] {
        var users: [UserID] = []
        for index in 1...count {
            let user = try await createUser(name: "User \(index)", in: .at(noon)).value
            if balance > 0 { _ = try await charge(userID: user.id, amount: Won(balance), in: .at(noon)).value }
            users.append(user.id)
        }
        return users
    }

    func makeProduct(_ name: String = "Tea", price: Int64 = 10_000, stock: Int64 = 10) async throws -> ProductID {
        try await createProduct(name: name, price: Won(price), stock: stock, in: .at(noon)).value.id
    }

    func makeCampaign(
        _ discount: Discount = .fixed(amount: Won(3_000)), quantity: Int64 = 100, minOrder: Int64 = 0, restoreOnRefund: Bool = false,
        validForSeconds: Int64 = 3_600
    ) async throws -> Campaign {
        let terms = CampaignTerms(
            name: "Launch", discount: discount, quantity: quantity, opensAt: noon, closesAt: nil, validForSeconds: validForSeconds,
            minOrderAmount: Won(minOrder), restoreOnRefund: restoreOnRefund)
        return try await createCampaign(terms, in: .at(noon)).value
    }

    func issue(_ campaign: Campaign, to user: UserID, sequence: Int64 = 1, at now: Instant = noon) async throws -> IssuedCoupon {
        let claim = Claim(couponID: campaign.id, userID: user, sequence: sequence, epoch: campaign.epoch, issuedAt: now)
        guard case .issued(let coupon) = try await recordClaim(claim).value else { throw NotDone(result: "claim \(sequence)") }
        return coupon
    }

    /// Seals the wins of a campaign that are in the store, at most `limit`, and returns the head.
    @discardableResult
    func sealWins(of id: CouponID, limit: Int = 10_000) async throws -> ChainHead {
        let growth = try await snapshot { snapshot throws(StoreError) -> ChainGrowth? in
            guard let chained = try snapshot.chain(of: id) else { return nil }
            var growth = ChainGrowth(of: id, from: chained.campaign.chain, chained.chain)
            for win in try snapshot.wins(of: id, afterSequence: growth.from.sequence, limit: limit) { growth.add(win) }
            return growth
        }
        guard let growth, try await seal(growth, of: id) else { throw NotDone(result: "seal of campaign \(id)") }
        return growth.head
    }

    func order(
        _ user: UserID, _ items: [(ProductID, Int64)], coupon: IssuedCouponID? = nil, at now: Instant = noon
    ) async throws -> Order {
        try await placeOrder(userID: user, items: wishes(items), issuedCouponID: coupon, in: .at(now)).value
    }
}

func wishes(_ items: [(ProductID, Int64)]) -> [RequestedItem] {
    items.map { RequestedItem(productID: $0.0, quantity: $0.1) }
}

extension TransactionalStore {
    /// The events after one, in order, at most `limit`.
    func events(after id: EventID?, limit: Int) async throws(StoreError) -> [OrderEvent] {
        try await read(.service) { db in
            try db.events("WHERE id > ? ORDER BY id LIMIT ?", id ?? EventID(0), limit).map(\.event)
        }
    }
}
