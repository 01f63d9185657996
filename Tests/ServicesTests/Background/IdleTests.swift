import Commerce
import Redis
import Store
import Synchronization
import TestSupport
import Testing

@testable import Services

@Suite("An idle service", .serialized)
struct IdleTests {
    private func steps(of shop: Shop) throws -> Int {
        Int(try #require(shop.services.metrics().first { $0.name == "firstcome_background_steps_total" }?.samples.first).value)
    }

    @Test("nothing is polled while nothing happens: the background makes few steps a second, and Redis hears next to nothing")
    func quiet() async throws {
        try await withShop(Shop.Setup(configure: { $0.rankingRefresh = .seconds(1) })) { shop in
            try await shop.start()
            try await eventually("recovered") { await shop.services.readiness().isReady }
            let start = ContinuousClock.now
            let (stepsBefore, commandsBefore) = (try steps(of: shop), shop.redis.statistics.sent)
            try await Task.sleep(for: .seconds(3))
            let (made, sent) = (try steps(of: shop) - stepsBefore, shop.redis.statistics.sent - commandsBefore)
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            // One of the ranking and one of expiry each second, and now and then one of the others.
            #expect(Double(made) <= 4 * seconds + 10, "\(made) steps in \(seconds) s")
            #expect(Double(sent) <= 4 * seconds + 30, "\(sent) commands in \(seconds) s")
        }
    }

    @Test("a commit wakes relay and delivery: sales after silence are counted and delivered without waiting for any interval")
    func woken() async throws {
        try await withShop(Shop.Setup(configure: { $0.rankingRefresh = .seconds(3_600) })) { shop in
            let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
            let product = try await shop.makeProduct(price: 1)
            try await shop.start()
            try await eventually("caught up") { try await shop.offset() == 0 }
            let rounds = 20
            var times: [Duration] = []
            for round in 1...rounds {
                let start = ContinuousClock.now
                _ = try await shop.sell([(product, 1)], to: user, on: shop.day(ago: 0))
                try await eventually("sale \(round) is counted") { try await shop.offset() == Int64(round) }
                try await eventually("sale \(round) is delivered") { try await shop.deliveries().last == .delivered }
                times.append(ContinuousClock.now - start)
            }
            // Without the wakeups, relay and delivery would each take up to 5 seconds: a quarter of the rounds within 1.5 seconds would
            // be as good as impossible, while even a busy machine has a few quick ones.
            #expect(times.sorted()[rounds / 4] < .milliseconds(1_500), "\(times)")
        }
    }

    @Test("the first view is counted in Redis at once, and those that follow soon")
    func views() async throws {
        try await withShop { shop in
            let product = try await shop.makeProduct(price: 1)
            try await shop.start()
            for round in 1...3 {
                shop.services.views.count(product)
                try await eventually("view \(round) is counted") {
                    try shop.server.cli("ZSCORE", RedisKeys.views(on: shop.day(ago: 0)), "\(product)") == "\(round)"
                }
            }
        }
    }
}
