import JSON
import Services
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Pay, cancel and the end of time meet", .everyEngine)
    struct OrderEndTests {}
}

extension EndToEnd.OrderEndTests {
    private struct Pending: Sendable {
        let user: Caller
        let order: Int64
        let coupon: Int64
    }

    private static let orders = 240
    private static let units: Int64 = 3
    private static let price: Int64 = 1_000
    private static let discount: Int64 = 500

    @Test("of many orders at once each ends in one way, what it held returns once, and a coupon that is free again works once")
    func manyOrders() async throws {
        var setup = LiveService.Setup()
        setup.connections = 128
        try await LiveService.run(setup) { live in
            let stock = Int64(Self.orders) * (Self.units + 1)
            let product = try await live.admin.makeProduct(price: Self.price, stock: stock)
            let campaign = try await live.admin.makeCoupon(
                quantity: Int64(Self.orders), discount: #"{"type": "FIXED", "amount": \#(Self.discount)}"#)
            let pending = try await Self.place(live, product, campaign)
            #expect(try await live.admin.stock(of: product) == stock - Int64(Self.orders) * Self.units)

            let successes = try await Self.race(live, pending)
            var ended: [String: Int] = [:]
            for (index, order) in pending.enumerated() {
                let won = successes[index, default: []]
                #expect(won.count <= 1, "order \(order.order) was told \(won)")
                let status = try await order.user.get("/orders/\(order.order)").string("status")
                #expect(status == won.first ?? "EXPIRED")
                ended[status, default: 0] += 1
            }
            #expect(Set(ended.keys) == ["PAID", "CANCELLED", "EXPIRED"], "a race in which somebody never wins shows nothing: \(ended)")

            let paid = Int64(ended["PAID"] ?? 0) * Self.units
            try await eventually("the sweeper has freed what ran out") { try await live.admin.stock(of: product) == stock - paid }
            try await expectCouponsOnce(pending, successes, product)
            let reused = Int64(Self.orders - (ended["PAID"] ?? 0))
            #expect(try await live.admin.stock(of: product) == stock - paid - reused)
            try await eventsDelivered(live)
            let report = try await live.audit()
            #expect(report.isClean, "\(report.checks.flatMap(\.violations))")
        }
    }

    /// One user, one coupon and one order each.
    private static func place(_ live: LiveService, _ product: Int64, _ campaign: Int64) async throws -> [Pending] {
        let users = try await live.newUsers(orders, balance: 10_000)
        let coupons = try await together(users) { try await $0.claim(campaign) }.map { try $0.expect(201).int("issuedCouponId") }
        let placed = try await together(Array(zip(users, coupons))) { try await $0.0.order(product, units, coupon: $0.1) }
        return try zip(zip(users, coupons), placed).map {
            Pending(user: $0.0, order: try $1.expect(201).int("orderId"), coupon: $0.1)
        }
    }

    /// Two pay and two cancel each order, all at once; when a third of them are answered, the orders' time is over.
    ///
    /// - Returns: by the index of the order, the state that each success told of.
    private static func race(_ live: LiveService, _ pending: [Pending]) async throws -> [Int: [String]] {
        let answered = Atomic(0)
        let calls = (0..<4 * pending.count).shuffled().map { (index: $0 / 4, pays: $0.isMultiple(of: 2)) }
        async let answers = together(calls) { call in
            let order = pending[call.index]
            let answer = call.pays ? try await order.user.pay(order.order) : try await order.user.cancel(order.order)
            if answered.add(1, ordering: .relaxed).newValue == calls.count / 3 { live.clock.advance(byMilliseconds: 15 * 60_000) }
            return answer
        }
        var successes: [Int: [String]] = [:]
        for (call, answer) in zip(calls, try await answers) {
            #expect([200, 201, 409].contains(answer.status), "\(answer.text)")
            if answer.status < 300 { successes[call.index, default: []].append(call.pays ? "PAID" : "CANCELLED") }
        }
        return successes
    }

    /// Three use each coupon again at once: one may where the order was not paid, nobody where it was. Money says the same.
    private func expectCouponsOnce(_ pending: [Pending], _ successes: [Int: [String]], _ product: Int64) async throws {
        let tries = pending.indices.flatMap { [$0, $0, $0] }
        let again = try await together(tries) { try await pending[$0].user.order(product, coupon: pending[$0].coupon) }
        var reuses: [Int: Int] = [:]
        for (index, answer) in zip(tries, again) {
            #expect(answer.status == 201 || answer.code == "COUPON_NOT_USABLE", "\(answer.text)")
            if answer.status == 201 { reuses[index, default: 0] += 1 }
        }
        for (index, order) in pending.enumerated() {
            let isPaid = successes[index] == ["PAID"]
            #expect(reuses[index, default: 0] == (isPaid ? 0 : 1), "order \(order.order)")
            #expect(try await order.user.balance == 10_000 - (isPaid ? Self.units * Self.price - Self.discount : 0))
        }
    }
}
