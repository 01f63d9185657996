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
