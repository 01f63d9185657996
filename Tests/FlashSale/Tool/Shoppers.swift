import JSON
import Synchronization
import TestSupport

/// People who order and pay for a while, with tastes that change, so that the best sellers do.
struct Shoppers: Sendable {
    struct Product: Sendable {
        let id: Int64
        let name: String
        let price: Int64
    }

    let shop: Shop
    let screen: Screen
    let tally: Tally
    let products: [Product]
    let seconds: Int

    /// People who shop at once. Each looks around for up to 120 ms between two orders, so that there are some hundred orders a second.
    private static let atOnce = 24
    /// How often another product becomes the favourite during the sale.
    private static let fashions = 6

    func run(_ people: [Caller], winners: [ClaimRush.Winner]) async throws {
        let start = ContinuousClock.now
        let end = start + .seconds(seconds)
        let coupons = Coupons(winners)
        _ = tally.takeRecent()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<Self.atOnce {
                group.addTask {
                    while ContinuousClock.now < end {
                        try await Task.sleep(for: .milliseconds(.random(in: 0...120)))
                        try await shopOnce(people, coupons, favourite(at: start.duration(to: .now)))
                    }
                }
            }
            group.addTask { try await watch(from: start, to: end) }
            try await group.waitForAll()
        }
        screen.leaveBlock()
    }

    private func favourite(at time: Duration) -> Int {
        let fashion = Int(time / .seconds(1)) * Self.fashions / max(seconds, 1)
        return (fashion * 5 + 2) % products.count
    }

    // MARK: One person

    /// Orders, then pays; a few do both at once, and a few change their mind.
    private func shopOnce(_ people: [Caller], _ coupons: Coupons, _ favourite: Int) async throws {
        let winner = Int.random(in: 0..<10) == 0 ? coupons.take() : nil
        guard let person = winner?.person ?? people.randomElement() else { return }
        let product = products[Int.random(in: 0..<10) < 6 ? favourite : Int.random(in: products.indices)]
        let quantity = Int64.random(in: 1...3)
        do {
            if Int.random(in: 0..<5) == 0 {
                let answer = try await paying(person) { try await person.checkout(product.id, quantity, coupon: winner?.coupon) }
                if answer.status == 201 {
                    tally.count("ordered")
                    tally.countPaid(try answer.int("payment", "amount"))
                }
                return
            }
            let order = try await ask { try await person.order(product.id, quantity, coupon: winner?.coupon) }
            guard order.status == 201 else { return tally.count("shopping " + (order.code ?? "\(order.status)")) }
            tally.count("ordered")
            let id = try order.int("orderId")
            if Int.random(in: 0..<40) == 0 {
                if try await ask({ try await person.cancel(id) }).status == 200 { tally.count("cancelled") }
                return
            }
            let payment = try await paying(person) { try await person.pay(id) }
            if payment.status == 201 { tally.countPaid(try payment.int("amount")) }
        } catch is HTTPPool.Closed {
            tally.count("shopping connection lost")
        }
    }

    /// Pays; where the balance is too small, charges it and pays again.
    private func paying(_ person: Caller, _ pay: () async throws -> HTTPAnswer) async throws -> HTTPAnswer {
        let first = try await ask(pay)
        guard first.status != 201 else { return first }
        tally.count("shopping " + (first.code ?? "\(first.status)"))
        guard first.code == "INSUFFICIENT_BALANCE" else { return first }
        let charge = try await ask { try await person.post("/users/\(person.id)/balance/charges", #"{"amount": 500000}"#) }
        if charge.status == 201 { tally.count("charged again") }
        return try await ask(pay)
    }

    private func ask(_ request: () async throws -> HTTPAnswer) async throws -> HTTPAnswer {
        try await tally.timed(.shopping, request)
    }

    /// The coupons of the winners that are not used yet.
    private final class Coupons: Sendable {
        private let left: Mutex<[ClaimRush.Winner]>

        init(_ winners: [ClaimRush.Winner]) { left = Mutex(winners) }

        func take() -> ClaimRush.Winner? { left.withLock { $0.popLast() } }
    }

    // MARK: The screen

    private func watch(from start: ContinuousClock.Instant, to end: ContinuousClock.Instant) async throws {
        var places: [Int64: Int] = [:]
        var looked = start
        while ContinuousClock.now < end {
            try await Task.sleep(for: .seconds(1))
            let top = try await shop.admin.get("/products/top").items()
            let (recent, since) = (tally.takeRecent(), looked.duration(to: .now))
            looked = .now
            let left = max(0, Int((ContinuousClock.now.duration(to: end) / .seconds(1)).rounded(.up)))
            screen.draw([summary(left, recent, since, top)] + [""] + lines(of: top, before: places))
            for (index, item) in top.enumerated() { places[item["productId"]?.int ?? 0] = index }
        }
    }

    private func summary(_ left: Int, _ recent: Times, _ since: Duration, _ top: [JSONValue]) -> String {
        let rate = Int(Double(recent.count) / max(since / .seconds(1), 0.001))
        let first = screen.isTerminal ? "" : "  first: \(top.first?["name"]?.string ?? "none")"
        return "\(left) s left  \(Text.number(tally.outcome("ordered"))) orders, \(Text.number(tally.outcome("paid"))) paid  "
            + "\(Text.number(rate)) requests/s  \(recent.text)\(first)"
    }

    /// The best sellers, each with an arrow where its place has changed since the last look.
    private func lines(of top: [JSONValue], before places: [Int64: Int]) -> [String] {
        let most = top.first?["unitsSold"]?.int ?? 0
        return top.enumerated().map { index, item in
            let (name, units) = (item["name"]?.string ?? "", item["unitsSold"]?.int ?? 0)
            let before = places[item["productId"]?.int ?? 0]
            let arrow = places.isEmpty || before == index ? " " : (before ?? .max) > index ? "▲" : "▼"
            return "  \(index + 1) \(arrow) \(Text.padded(name, 20)) \(Text.padded(Text.bar(units, of: most, columns: 36), 36)) "
                + Text.padded(Text.number(units), 7, toRight: true)
        }
    }
}
