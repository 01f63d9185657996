import Foundation
import JSON
import TestSupport

/// The play: people, a countdown, the rush for the coupons, orders and payments, and what the audit says of it.
struct FlashSale: Sendable {
    static let people = 5_000
    static let coupons = 100
    /// How many charge their balance before the sale opens.
    private static let customers = 3_000

    let shop: Shop
    let screen: Screen
    let seconds: Int
    let tally = Tally()

    init(shop: Shop, screen: Screen, seconds: Int) { (self.shop, self.screen, self.seconds) = (shop, screen, seconds) }

    /// Plays the sale and returns whether it ended as it must.
    func play(keepsRunning: Bool) async throws -> Bool {
        let start = ContinuousClock.now
        introduce(keepsRunning)
        let people = try await gatherPeople()
        let products = try await makeProducts()
        try await all(Self.customers, "balances are charged with 500,000 won each") { index in
            _ = try await tally.timed(.setUp) { try await people[index].charge(500_000) }
        }
        try await shop.pool.warm(Shop.connections)
        let opening = Opening(after: .seconds(seconds < 20 ? 3 : 5))
        let coupon = try await makeCoupon(opening)
        try await countDown(to: opening, people, coupon)
        let rush = try await ClaimRush(shop: shop, screen: screen, tally: tally, coupon: coupon, opening: opening).run(people)
        let shoppers = Shoppers(shop: shop, screen: screen, tally: tally, products: products, seconds: seconds)
        try await shoppers.run(Array(people.prefix(Self.customers)), winners: rush.winners)
        let isRight = try await Closing(shop: shop, screen: screen, tally: tally, rush: rush, coupon: coupon, start: start).report()
        guard keepsRunning else {
            screen.line("KEEP=1 make demo leaves the service running, to look at it. make run starts one with data that stays.")
            return isRight
        }
        screen.line("The service goes on at \(shop.url)/console until Ctrl-C. Its Redis: redis-cli -s \(shop.folder)/redis/redis.sock")
        // Ends with the task, which Ctrl-C cancels.
        try? await Task.sleep(for: .seconds(1_000_000))
        return isRight
    }

    private func introduce(_ keepsRunning: Bool) {
        screen.line("A service with a private Redis and fresh data runs at \(shop.url)")
        screen.line("Watch it at \(shop.url)/console with this token of an admin:")
        screen.line("")
        screen.line(shop.admin.token ?? "")
        screen.line("")
    }

    // MARK: Before the sale

    private func gatherPeople() async throws -> [Caller] {
        async let callers = shop.people(Self.people)
        try await all(Self.people, "people have registered") { index in
            _ = try await tally.timed(.setUp) {
                try await shop.admin.post("/users", #"{"name": "\#(Names.person(index))"}"#).expect(201)
            }
        }
        return try await callers
    }

    private func makeProducts() async throws -> [Shoppers.Product] {
        var products: [Shoppers.Product] = []
        for product in Names.products {
            let id = try await shop.admin.makeProduct(price: product.price, stock: 100_000, name: product.name)
            products.append(Shoppers.Product(id: id, name: product.name, price: product.price))
        }
        screen.line("\(products.count) products are for sale")
        return products
    }

    private func makeCoupon(_ opening: Opening) async throws -> Int64 {
        let body = """
            {"name": "\(Names.coupon)", "discount": {"type": "FIXED", "amount": 5000}, "quantity": \(Self.coupons), \
            "minOrderAmount": 10000, "opensAt": "\(opening.text)"}
            """
        return try await shop.admin.post("/coupons", body).expect(201).int("couponId")
    }

    /// Some cannot wait.
    private func countDown(to opening: Opening, _ people: [Caller], _ coupon: Int64) async throws {
        while opening.remaining > .zero {
            try Task.checkCancellation()
            let text = "\(Names.coupon) opens in \(Text.seconds(opening.remaining))"
            screen.draw([text], every: .seconds(1))
            if let impatient = people.randomElement(), opening.remaining > .milliseconds(300) {
                let answer = try await tally.timed(.claim) { try await impatient.claim(coupon) }
                tally.count("claim " + (answer.code ?? "\(answer.status)"))
            }
            try await Task.sleep(for: min(.milliseconds(100), max(.zero, opening.remaining)))
        }
    }

    /// Does something as often, over all connections.
    private func all(_ count: Int, _ what: String, _ body: @escaping @Sendable (Int) async throws -> Void) async throws {
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            var next = 0
            func add() {
                guard next < count, !Task.isCancelled else { return }
                group.addTask { [next] in try await body(next) }
                next += 1
            }
            for _ in 0..<64 { add() }
            while try await group.next() != nil { add() }
        }
        try Task.checkCancellation()
        screen.line("\(Text.number(count)) \(what) (\(Text.seconds(start.duration(to: .now))))")
    }
}

/// When the coupon can be claimed, on both clocks: that of the machine, which the service knows, and the steady one.
struct Opening: Sendable {
    let instant: ContinuousClock.Instant
    let text: String

    init(after duration: Duration) {
        instant = .now + duration
        let date = Date(timeIntervalSinceNow: duration / .seconds(1))
        text = date.formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
    }

    var remaining: Duration { ContinuousClock.now.duration(to: instant) }
}
