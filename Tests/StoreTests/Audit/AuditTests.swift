import Commerce
import Testing

@testable import Store

@Suite(.temporaryStore) struct AuditTests: StoreSuite {
    /// Orders in every state: 1 paid with coupon 1, 2 pending with coupon 2, 3 partly and 4 wholly refunded, 5 cancelled. Coupon 3 is free.
    private func fill() async throws {
        let store = home.store
        let users = try await store.makeUsers(3, balance: 200_000)
        for user in users.prefix(2) {
            _ = try await store.charge(userID: user, amount: Won(1_000), in: WriteContext(at: noon, adminLog: .ofTests())).value
        }
        let tea = try await store.makeProduct(price: 10_000, stock: 100)
        _ = try await store.makeProduct("Cup")
        let campaign = try await store.makeCampaign(quantity: 10)
        var coupons: [IssuedCoupon] = []
        for (index, user) in users.enumerated() { coupons.append(try await store.issue(campaign, to: user, sequence: Int64(index + 1))) }
        try await store.sealWins(of: campaign.id)
        _ = try await store.checkout(userID: users[0], items: wishes([(tea, 3)]), issuedCouponID: coupons[0].id, in: .at(noon)).value
        _ = try await store.order(users[1], [(tea, 2)], coupon: coupons[1].id)
        let third = try await store.checkout(userID: users[0], items: wishes([(tea, 4)]), issuedCouponID: nil, in: .at(noon)).value
        _ = try await store.refund(paymentID: third.payment.id, items: wishes([(tea, 1)]), in: .at(noon)).value
        let fourth = try await store.checkout(userID: users[2], items: wishes([(tea, 1)]), issuedCouponID: nil, in: .at(noon)).value
        _ = try await store.refund(paymentID: fourth.payment.id, items: nil, in: .at(noon)).value
        let fifth = try await store.order(users[2], [(tea, 1)])
        _ = try await store.cancelOrder(fifth.id, by: nil, in: .at(noon)).value
    }

    @Test("an untouched store keeps every promise, and each rule has looked at rows")
    func clean() async throws {
        try await fill()
        let results = try await home.audit()
        #expect(results.count == AuditRule.all.count + 1)
        for result in results {
            #expect(result.holds, "\(result)")
            #expect(result.rowsChecked > 0, "\(result.claim)")
        }
        #expect(Set(results.map(\.invariant)) == [1, 2, 4, 5, 6, 8, 9])
    }

    @Test("the audit says how far it is")
    func progress() async throws {
        let steps = try await home.store.snapshot { snapshot throws(StoreError) in
            var steps: [Int] = []
            _ = try snapshot.audit { done, _ in steps.append(done) }
            return steps
        }
        #expect(steps == Array(0...AuditRule.all.count + 1))
    }

    /// The table of issued coupons without the constraints that keep the audit from ever finding anything.
    private static let loosened = """
        CREATE TABLE loose (id INTEGER PRIMARY KEY, code, coupon_id, user_id, sequence, state, issued_at, expires_at, used_at, order_id);
        INSERT INTO loose SELECT * FROM issued_coupons; DROP TABLE issued_coupons; ALTER TABLE loose RENAME TO issued_coupons;
        """

    static let injections: [(sql: String, rules: [String])] = [
        ("UPDATE campaigns SET issued = issued + 1", ["no campaign has issued more"]),
        ("UPDATE campaigns SET quantity = 2", ["no campaign has issued more"]),
        ("DELETE FROM issued_coupons WHERE id = 3", ["no campaign has issued more", "the sealed wins"]),
        (loosened + "UPDATE issued_coupons SET user_id = 1 WHERE id = 3", ["nobody has two coupons", "the sealed wins"]),
        (loosened + "UPDATE issued_coupons SET sequence = 1 WHERE id = 3", ["nobody has two coupons", "the sealed wins"]),
        ("INSERT INTO users (id, name, created_at) VALUES (10, 'x', 0)", ["every row belongs"]),
        ("INSERT INTO refunds (payment_id, amount, at) VALUES (99, 0, 0)", ["every row belongs"]),
        ("UPDATE users SET balance = balance + 1 WHERE id = 1", ["a balance is not negative"]),
        ("UPDATE users SET balance = balance - 1 WHERE id = 2", ["a balance is not negative"]),
        ("UPDATE transfers SET debit_account = -1 WHERE kind = 0 AND user_id = 1", ["each transfer runs"]),
        ("DELETE FROM charges WHERE id = 1", ["each charge has its transfer"]),
        ("UPDATE charges SET amount = amount + 1 WHERE id = 1", ["each charge has its transfer"]),
        ("UPDATE payments SET refunded = refunded + 1 WHERE id = 2", ["what was paid and refunded"]),
        ("UPDATE refunds SET amount = amount - 1 WHERE id = 1", ["what was paid and refunded"]),
        ("UPDATE products SET held = held + 1 WHERE id = 1", ["stock is at least"]),
        ("UPDATE products SET held = held - 1 WHERE id = 1", ["stock is at least"]),
        ("UPDATE products SET stock = held - 1 WHERE id = 1", ["stock is at least"]),
        ("UPDATE products SET name_folded = 'green tea' WHERE id = 1", ["each product is found"]),
        ("DELETE FROM product_name_index WHERE key = (SELECT max(key) FROM product_name_index)", ["each product is found"]),
        (
            "UPDATE product_name_index SET products = x'0300' WHERE key = (SELECT max(key) FROM product_name_index)",
            ["each product is found"]
        ),
        ("INSERT INTO product_name_index VALUES (1, x'0900')", ["each product is found"]),
        ("UPDATE event_units SET units = units + 1 WHERE event_id = 1", ["units sold are"]),
        ("UPDATE refund_lines SET quantity = quantity + 1 WHERE refund_id = 1", ["units sold are"]),
        ("UPDATE order_lines SET refunded = refunded + 1 WHERE order_id = 3", ["units sold are"]),
        ("INSERT INTO refund_lines VALUES (1, 2, 1)", ["units sold are"]),
        ("UPDATE order_lines SET unit_price = unit_price + 1 WHERE order_id = 5", ["an order costs"]),
        ("UPDATE orders SET status = 1 WHERE id = 5", ["an order is paid or refunded exactly"]),
        ("UPDATE orders SET status = 4 WHERE id = 3", ["an order is paid or refunded exactly"]),
        ("UPDATE orders SET status = 1 WHERE id = 4", ["an order is paid or refunded exactly"]),
        ("UPDATE orders SET paid_at = paid_at + 1 WHERE id = 3", ["an order is paid or refunded exactly"]),
        ("UPDATE issued_coupons SET state = 0, order_id = NULL, used_at = NULL WHERE id = 1", ["a coupon is used by exactly"]),
        ("UPDATE issued_coupons SET state = 0, order_id = NULL WHERE id = 2", ["a coupon is used by exactly"]),
        ("UPDATE issued_coupons SET state = 2, used_at = 1 WHERE id = 2", ["a coupon is used by exactly"]),
        ("UPDATE orders SET issued_coupon_id = 1 WHERE id = 3", ["a coupon is used by exactly"]),
        ("UPDATE events SET sale_day = sale_day + 1 WHERE id = 1", ["every payment and every refund"]),
        (
            "DELETE FROM event_units WHERE event_id = 5; DELETE FROM events WHERE id = 5",
            ["units sold are", "every payment and every refund"]
        ),
        ("UPDATE events SET id = 9 WHERE id = 5; UPDATE event_units SET event_id = 9 WHERE event_id = 5", ["events are numbered"]),
        ("UPDATE events SET delivery = 7 WHERE id = 1", ["events are numbered"]),
        ("UPDATE issued_coupons SET issued_at = issued_at + 1 WHERE id = 2", ["the sealed wins"]),
        ("UPDATE issued_coupons SET sequence = 9 WHERE id = 2", ["the sealed wins"]),
        ("UPDATE campaigns SET sealed = 2, sealed_count = 2", ["the sealed wins"]),
        ("UPDATE campaigns SET chain_head = zeroblob(32)", ["the sealed wins"]),
        ("UPDATE campaigns SET salt = zeroblob(32)", ["the sealed wins"]),
        ("UPDATE chain_blocks SET hashes = zeroblob(96)", ["the sealed wins"]),
        ("DELETE FROM chain_blocks", ["the sealed wins"]),
        ("DROP TRIGGER admin_log_no_delete; DELETE FROM admin_log WHERE id = 1", ["no entry of the admin log"]),
    ]

    @Test("each injected violation fires its own rule and no other", arguments: injections.indices)
    func injected(index: Int) async throws {
        try await fill()
        let injection = Self.injections[index]
        try home.tamper(injection.sql)
        let broken = try await home.audit().filter { !$0.holds }
        #expect(broken.count == injection.rules.count, "\(injection.sql): \(broken)")
        for (result, rule) in zip(broken, injection.rules) {
            #expect(result.claim.hasPrefix(rule), "\(injection.sql): \(result)")
            #expect(result.violationCount > 0 && !result.violations.isEmpty)
        }
    }

    @Test("every rule is fired by some injection")
    func coverage() {
        for rule in AuditRule.all {
            #expect(Self.injections.contains { $0.rules.contains { rule.claim.hasPrefix($0) } }, "\(rule.claim)")
        }
    }

    @Test("of many violations the first hundred are named and all are counted")
    func manyViolations() async throws {
        _ = try await home.store.makeUsers(150)
        try home.tamper("UPDATE users SET balance = 1")
        let broken = try await home.audit().filter { !$0.holds }
        #expect(broken.map(\.violationCount) == [150] && broken.map(\.violations.count) == [100])
        #expect(broken[0].violations[0] == "user 1: balance 1, transfers 0")
    }
}
