import JSON
import Synchronization
import TestSupport

/// Many people who use everything at once, and a record of each success that they were told of.
final class LoadedShop: Sendable {
    /// What a success made, by the name of the store's table.
    enum Table: String, CaseIterable, Sendable {
        case charges, orders, payments, refunds
        case coupons = "issued_coupons"
    }

    typealias Told = [Table: Set<Int64>]

    private let admin: Caller
    private let users: [Caller]
    private let products: [Int64]
    private let coupons: [Int64]
    private let told = Mutex(Told())
    private let isOver = Mutex(false)

    init(admin: Caller, users: [Caller], products: [Int64], coupons: [Int64]) {
        (self.admin, self.users, self.products, self.coupons) = (admin, users, products, coupons)
    }

    /// What has been told by now.
    var record: Told { told.withLock { $0 } }

    func stop() { isOver.withLock { $0 = true } }

    /// Keeps `workers` people busy until ``stop()``.
    func run(workers: Int, seed: UInt64) async throws {
        try await withThrowingTaskGroup { group in
            for worker in 0..<workers {
                group.addTask {
                    var random = SeededGenerator(seed: seed &+ UInt64(worker))
                    while !self.isOver.withLock({ $0 }) { try await self.act(&random) }
                }
            }
            try await group.waitForAll()
        }
    }

    private func act(_ random: inout SeededGenerator) async throws {
        guard let user = users.randomElement(using: &random), let product = products.randomElement(using: &random),
            let coupon = coupons.randomElement(using: &random)
        else { return }
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<4: note(try await user.claim(coupon), .coupons, "issuedCouponId")
        case 4: note(try await user.post("/users/\(user.id)/balance/charges", #"{"amount": 1000}"#), .charges, "chargeId")
        case 5..<8:
            let sale = try await user.checkout(product, 1)
            note(sale, .orders, "order", "orderId")
            note(sale, .payments, "payment", "paymentId")
            if sale.status == 201, Bool.random(using: &random) {
                note(try await admin.refund(try sale.int("payment", "paymentId")), .refunds, "refundId")
            }
        default:
            let order = try await user.order(product, 2)
            note(order, .orders, "orderId")
            guard order.status == 201 else { return }
            let id = try order.int("orderId")
            if Bool.random(using: &random) {
                note(try await user.pay(id), .payments, "paymentId")
            } else {
                _ = try await user.cancel(id)
            }
        }
    }

    private func note(_ answer: HTTPAnswer, _ table: Table, _ path: String...) {
        guard answer.status == 201, var value = try? answer.json() else { return }
        for name in path { value = value[name] ?? .null }
        guard let id = value.int else { return }
        told.withLock { _ = $0[table, default: []].insert(id) }
    }
}

extension LoadedShop.Told {
    /// How many successes people were told of.
    var total: Int { values.reduce(0) { $0 + $1.count } }
}
