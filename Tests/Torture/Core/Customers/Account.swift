import Foundation
import JSON
import TestSupport

/// What the service reports about one user after a round, when nothing is in flight.
struct Account: Sendable {
    struct Coupon: Sendable {
        let facts: CouponFacts
        let status: String
        let order: Int64?
    }

    struct Entry: Sendable {
        let id: Int64
        let kind: String
        let amount: Int64
        let balanceAfter: Int64
        let order: Int64?
    }

    struct Order: Sendable {
        let id: Int64
        let status: String
        let units: [Int64: Int64]
        let finalAmount: Int64
        let coupon: Int64?
    }

    struct Payment: Sendable {
        let id: Int64
        let order: Int64
        let amount: Int64
        let refunded: Int64
    }

    var balance: Int64
    var coupons: [Coupon]
    /// Oldest first.
    var entries: [Entry]
    var orders: [Int64: Order]
    /// The payments that answers have reported, by id; one that cannot be read is missing.
    var payments: [Int64: Payment]

    /// Whether an order is still pending. Orders are read last, so a coupon may look held by an order that has ended since.
    var isPending: Bool { orders.values.contains { $0.status == "PENDING" } || coupons.contains { $0.status == "HELD" } }

    /// Reads everything through the user's own routes.
    static func read(_ caller: Caller, payments known: [Int64]) async throws -> Account {
        let balance = try await served("/users/\(caller.id)/balance", caller).expect(200).int("balance")
        let coupons = try await all("/users/\(caller.id)/coupons", caller).compactMap { json -> Coupon? in
            guard let facts = CouponFacts(json), let status = json["status"]?.string else { return nil }
            return Coupon(facts: facts, status: status, order: json["orderId"]?.int)
        }
        let entries = try await all("/users/\(caller.id)/balance/history", caller).compactMap { json -> Entry? in
            guard let id = json["entryId"]?.int, let kind = json["kind"]?.string, let amount = json["amount"]?.int,
                let balance = json["balanceAfter"]?.int
            else { return nil }
            return Entry(id: id, kind: kind, amount: amount, balanceAfter: balance, order: json["orderId"]?.int)
        }
        let orders = try await all("/users/\(caller.id)/orders", caller).compactMap { json -> Order? in
            guard let id = json["orderId"]?.int, let status = json["status"]?.string, let final = json["finalAmount"]?.int else {
                return nil
            }
            var units: [Int64: Int64] = [:]
            for line in json["items"]?.elements ?? [] { units[line["productId"]?.int ?? 0, default: 0] += line["quantity"]?.int ?? 0 }
            return Order(id: id, status: status, units: units, finalAmount: final, coupon: json["issuedCouponId"]?.int)
        }
        var payments: [Int64: Payment] = [:]
        for id in known {
            let answer = try await served("/payments/\(id)", caller)
            if answer.status == 404 { continue }
            _ = try answer.expect(200)
            payments[id] = Payment(
                id: id, order: try answer.int("orderId"), amount: try answer.int("amount"), refunded: try answer.int("refundedAmount"))
        }
        return Account(
            balance: balance, coupons: coupons, entries: entries.reversed(),
            orders: Dictionary(orders.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first }), payments: payments)
    }

    /// Asks until there is another answer than 503, which a service at rest gives only where the machine stands still; each is printed.
    private static func served(_ path: String, _ caller: Caller) async throws -> HTTPAnswer {
        let deadline = ContinuousClock.now + hangLimit
        while true {
            let answer = try await caller.get(path)
            guard answer.status == 503, ContinuousClock.now < deadline else { return answer }
            FileHandle.standardError.write(Data("    \(Date.now.formatted(.iso8601)) \(path) is asked for again: \(answer.text)\n".utf8))
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    private static func all(_ path: String, _ caller: Caller) async throws -> [JSONValue] {
        var items: [JSONValue] = []
        var cursor: String?
        repeat {
            let page = try await served(path + "?limit=100" + (cursor.map { "&cursor=\($0)" } ?? ""), caller).expect(200)
            items += try page.items()
            cursor = try page.json()["nextCursor"]?.string
        } while cursor != nil
        return items
    }
}
