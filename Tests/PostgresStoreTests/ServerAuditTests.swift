import Commerce
import Store
import TestSupport
import Testing

@testable import PostgresStore

/// The audit of a store on a server finds what no store writes.
@Suite struct ServerAuditTests {
    @Test(
        "damage that the schema lets through is found",
        arguments: [
            "UPDATE users SET balance = balance + 1 WHERE id = 1", "UPDATE users SET id = 9 WHERE id = 2",
            "DELETE FROM users WHERE id = 1", "DELETE FROM transfers WHERE kind = 1",
            "UPDATE transfers SET amount = amount + 1 WHERE kind = 0",
            "UPDATE transfers SET debit_account = 7 WHERE kind = 0", "DELETE FROM charges", "DELETE FROM products WHERE id = 1",
            "UPDATE products SET held = held + 1", "UPDATE campaigns SET issued = issued - 1", "DELETE FROM campaigns",
            "UPDATE issued_coupons SET user_id = 99", "UPDATE issued_coupons SET state = 0, order_id = NULL, used_at = NULL",
            "DELETE FROM issued_coupons", "DELETE FROM orders", "UPDATE orders SET status = 2 WHERE status = 1",
            "UPDATE orders SET total = total + 1", "DELETE FROM order_lines", "UPDATE order_lines SET refunded = 0 WHERE refunded > 0",
            "DELETE FROM payments", "UPDATE payments SET amount = amount + 1", "UPDATE payments SET sale_day = sale_day + 1",
            "DELETE FROM refunds", "DELETE FROM refund_lines", "DELETE FROM events WHERE kind = 0", "DELETE FROM events WHERE kind = 1",
            "DELETE FROM event_units", "UPDATE event_units SET units = units + 5", "UPDATE events SET place = place + 5 WHERE kind = 1",
            "UPDATE counters SET last = last + 1 WHERE name = 'events'", "UPDATE pruned_events SET payments = 1",
            "UPDATE pruned_events SET refunds = 1",
            "ALTER TABLE admin_log DISABLE TRIGGER ALL; DELETE FROM admin_log WHERE id = 1",
        ])
    func damage(sql: String) async throws {
        try await PostgresHome.with { home in
            let store = try home.open()
            let users = [
                try await store.createUser(name: "Jin", in: .at(noon)).value.id,
                try await store.createUser(name: "Ada", in: .at(noon)).value.id,
            ]
            for user in users {
                let log = AdminLog<Charge>(actor: "Kim", requestID: nil, at: noon) { _ in AdminAction("charge", on: "user", details: "{}") }
                _ = try await store.charge(userID: user, amount: Won(50_000), in: WriteContext(at: noon, adminLog: log)).value
            }
            let tea = try await store.createProduct(name: "Tea", price: Won(1_000), stock: 9, in: .at(noon)).value.id
            let terms = CampaignTerms(
                name: "Launch", discount: .fixed(amount: Won(500)), quantity: 5, opensAt: noon, closesAt: nil, validForSeconds: 3_600,
                minOrderAmount: .zero, restoreOnRefund: false)
            let campaign = try await store.createCampaign(terms, in: .at(noon)).value
            let claim = Claim(couponID: campaign.id, userID: users[0], sequence: 1, epoch: campaign.epoch, issuedAt: noon)
            guard case .issued(let coupon) = try await store.recordClaim(claim).value else { throw NotDone(result: "the claim") }
            let items = [RequestedItem(productID: tea, quantity: 2)]
            _ = try await store.checkout(userID: users[0], items: items, issuedCouponID: coupon.id, in: .at(noon)).value
            let paid = try await store.checkout(userID: users[1], items: items, issuedCouponID: nil, in: .at(noon)).value
            let unit = [RequestedItem(productID: tea, quantity: 1)]
            _ = try await store.refund(paymentID: paid.payment.id, items: unit, in: .at(noon)).value
            _ = try await store.placeOrder(userID: users[1], items: unit, issuedCouponID: nil, in: .at(noon)).value
            let audit = { try await store.snapshot { snapshot throws(StoreError) in try snapshot.audit() }.filter { !$0.holds } }
            #expect(try await audit() == [])
            try home.sql(sql)
            #expect(try await !audit().isEmpty)
        }
    }
}
