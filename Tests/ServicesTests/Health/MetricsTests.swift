import Commerce
import Glibc
import Histograms
import NIOPosix
import Redis
import Store
import TestSupport
import Testing

@testable import Services

/// The numbers behind `/metrics`, compared with what Redis, the store or the kernel say.
@Suite("Metrics", .serialized)
struct MetricsTests {
    /// The value of a metric; nil where it has no sample.
    private func value(_ name: String, _ label: String? = nil, of shop: Shop) throws -> Double? {
        let metric = try #require(shop.services.metrics().first { $0.name == name }, "there is no metric \(name)")
        return metric.samples.first { sample in label.map { label in sample.labels.contains { $0.value == label } } ?? true }?.value
    }

    private func findings(_ kind: FindingCounter.Kind, of shop: Shop) throws -> Int {
        Int(try #require(try value("firstcome_recovery_findings_total", kind.rawValue, of: shop)))
    }

    @Test("what is not known yet has no sample, and what is known has one")
    func unknown() async throws {
        try await withShop { shop in
            let names = [
                "firstcome_campaigns_unloaded", "firstcome_campaigns_uncompared", "firstcome_ranking_lag_events",
                "firstcome_outbox_events", "firstcome_outbox_oldest_waiting_seconds", "firstcome_recovery_success_timestamp_seconds",
                "firstcome_ranking_refresh_timestamp_seconds",
            ]
            for name in names { #expect(try value(name, of: shop) == nil, "\(name)") }
            #expect(try value("firstcome_ready", of: shop) == 0)
            try await shop.start()
            try await eventually("everything is known") { try names.allSatisfy { try value($0, of: shop) != nil } }
            #expect(try value("firstcome_campaigns_unloaded", of: shop) == 0)
            try await eventually("the service is ready") { try value("firstcome_ready", of: shop) == 1 }
            let now = Double(shop.clock.now.milliseconds) / 1_000
            for name in names.suffix(2) { #expect(abs(try #require(try value(name, of: shop)) - now) < 600, "\(name)") }
        }
    }

    @Test("without Redis the service is not ready and not connected, and both come back with it")
    func redisAway() async throws {
        try await withShop { shop in
            try await shop.start()
            try await eventually("the service is ready") { try value("firstcome_ready", of: shop) == 1 }
            #expect(try value("firstcome_redis_connected", of: shop) == 1)
            try await shop.killRedis()
            #expect(try value("firstcome_redis_connected", of: shop) == 0 && value("firstcome_ready", of: shop) == 0)
            try shop.server.start()
            try await eventually("the service is ready again") { try value("firstcome_ready", of: shop) == 1 }
            shop.services.announceEnd()
            #expect(try value("firstcome_ready", of: shop) == 0)
        }
    }

    @Test("each kind of damage to a gate is counted as what it is, when recovery repairs it")
    func gateFindings() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(4)
            let coupon = try await shop.makeCampaign(quantity: 10)
            _ = try await shop.claimTogether(coupon, by: users)
            let (gate, claims) = (RedisKeys.coupon(coupon), RedisKeys.claims(of: coupon))
            let found = FindingCounter()
            let recovery = ClaimRecovery(
                store: shop.store, redis: shop.redis, campaigns: shop.campaigns, clock: shop.services.configuration.clock,
                archiveAfter: .seconds(86_400), found: found, logger: Shop.logger)
            try await recovery.run(deep: true)
            #expect(FindingCounter.Kind.allCases.allSatisfy { found.count(of: $0) == 0 })
            let damages: [(FindingCounter.Kind, () throws -> Void)] = [
                (.gateMissing, { _ = try shop.server.cli("DEL", gate, claims) }),
                (.gateDamaged, { _ = try shop.server.cli("ZREM", claims, "\(users[0])") }),
                (.epochMoved, { _ = try shop.server.cli("HSET", gate, "epoch", "0") }),
                (.otherStore, { _ = try shop.server.cli("HSET", gate, "store", "another:0") }),
                (.termsChanged, { _ = try shop.server.cli("HSET", gate, "quantity", "11", "remaining", "7") }),
            ]
            for (kind, damage) in damages {
                let before = FindingCounter.Kind.allCases.map { found.count(of: $0) }
                try damage()
                try await recovery.run(deep: true)
                let after = FindingCounter.Kind.allCases.map { found.count(of: $0) }
                let changed = zip(FindingCounter.Kind.allCases, zip(before, after)).filter { $1.0 != $1.1 }.map { $0.0 }
                #expect(changed == [kind], "\(kind): \(changed)")
            }
            // A claim that only the gate knows.
            let late = try await shop.makeUsers(1)[0]
            try await shop.grantOnly(coupon, to: late)
            try await recovery.run(deep: true)
            #expect(found.count(of: .claimUnwritten) == 1)
            // Two users who have each other's place: as many as before, and in contradiction to the store.
            let places = try (0...1).map { try shop.server.cli("ZSCORE", claims, "\(users[$0])") }
            _ = try shop.server.cli("ZADD", claims, places[1], "\(users[0])", places[0], "\(users[1])")
            try await recovery.run(deep: true)
            #expect(found.count(of: .gateContradicted) == 1)
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a ranking that lost its scores, and a stream that lost its events, are findings")
    func rankingAndStream() async throws {
        try await withShop(Shop.Setup(configure: { $0.recoveryInterval = .milliseconds(100) })) { shop in
            let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
            let product = try await shop.makeProduct(price: 1)
            try await shop.start()
            for _ in 0..<3 { _ = try await shop.sell([(product, 1)], to: user, on: shop.day(ago: 0)) }
            try await eventually("all are delivered") { try await shop.deliveries() == [.delivered, .delivered, .delivered] }
            try await eventually("all are counted") { try value("firstcome_ranking_lag_events", of: shop) == 0 }
            let rebuilt = try findings(.rankingRebuilt, of: shop)
            _ = try shop.server.cli("DEL", RedisKeys.applied, RedisKeys.sales(on: shop.day(ago: 0)))
            try await eventually("the ranking was rebuilt") { try findings(.rankingRebuilt, of: shop) > rebuilt }
            #expect(try findings(.streamEventLost, of: shop) == 0)
            _ = try shop.server.cli("DEL", RedisKeys.events, RedisKeys.lastEvent)
            try await eventually("the events are sent again") { try findings(.streamEventLost, of: shop) == 3 }
        }
    }

    @Test("the outbox's numbers follow what is appended, parked, retried and delivered, and the age follows the clock")
    func outbox() async throws {
        let platform = try await DataPlatformServer { _ in .status(422) }
        do {
            try await withShop(
                Shop.Setup(configure: {
                    $0.platform = DataPlatform(url: platform.url, secret: [1])
                    $0.platform?.maximumTries = 1
                })
            ) { shop in
                let (user, product) = (try await shop.makeUsers(1, balance: 1_000_000)[0], try await shop.makeProduct(price: 1))
                func events(_ state: String) throws -> Double? { try value("firstcome_outbox_events", state, of: shop) }
                try await shop.start()
                try await eventually("the outbox is known") { try events("waiting") == 0 && events("parked") == 0 }
                #expect(try value("firstcome_outbox_oldest_waiting_seconds", of: shop) == 0)
                _ = try await shop.sell([(product, 1)], to: user, on: shop.day(ago: 0))
                try await eventually("the event is parked") { try events("parked") == 1 && events("waiting") == 0 }
                platform.react { _ in .status(500) }
                _ = try await shop.store.checkout(
                    userID: user, items: [RequestedItem(productID: product, quantity: 1)], issuedCouponID: nil, in: .at(shop.clock.now)
                ).value
                try await eventually("the next one waits") { try events("parked") == 1 && events("waiting") == 1 }
                shop.clock.advance(byMilliseconds: 3_600_000)
                #expect(try #require(try value("firstcome_outbox_oldest_waiting_seconds", of: shop)) >= 3_600)
                platform.react { _ in .status(200) }
                try await eventually("all are delivered") {
                    // The second event, whose only try failed, is parked when the platform takes the first.
                    _ = try await shop.store.retryAllParked(at: shop.clock.now)
                    try await Task.sleep(for: .milliseconds(20))
                    return try events("parked") == 0 && events("waiting") == 0
                }
                #expect(try value("firstcome_outbox_oldest_waiting_seconds", of: shop) == 0)
            }
        } catch {
            await platform.close()
            throw error
        }
        await platform.close()
    }

    @Test("while Redis takes no writes the lag grows, and it is 0 again afterwards")
    func lag() async throws {
        try await withShop { shop in
            let (user, product) = (try await shop.makeUsers(1, balance: 1_000_000)[0], try await shop.makeProduct(price: 1))
            try await shop.start()
            try await eventually("the lag is known") { try value("firstcome_ranking_lag_events", of: shop) == 0 }
            _ = try shop.server.cli("CONFIG", "SET", "maxmemory", "1")
            for count in 1...5 {
                _ = try await shop.sell([(product, 1)], to: user, on: shop.day(ago: 0))
                try await eventually("it lags by \(count)") { try value("firstcome_ranking_lag_events", of: shop) == Double(count) }
            }
            _ = try shop.server.cli("CONFIG", "SET", "maxmemory", "0")
            try await eventually("it has caught up") { try value("firstcome_ranking_lag_events", of: shop) == 0 }
        }
    }

    @Test("round trips, batches, groups and commits are measured: each as often as Redis and the store say")
    func histograms() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(40)
            let coupon = try await shop.makeCampaign(quantity: 100)
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            func histogram(_ name: String) throws -> HistogramSnapshot {
                try #require(shop.services.metrics().first { $0.name == name }?.histograms.first?.value)
            }
            let before = (
                batches: try histogram("firstcome_claim_batch_size"), groups: try histogram("firstcome_store_group_size"),
                trips: try histogram("firstcome_redis_round_trip_seconds")
            )
            _ = try await shop.claimInOneTick(coupon, by: users, on: loop)
            let batches = try histogram("firstcome_claim_batch_size")
            #expect(batches.count == before.batches.count + 1 && batches.sum == before.batches.sum + 40)
            // 40 is above 32 and not above 64.
            #expect(zip(batches.counts, before.batches.counts).map { $0 - $1 } == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0])
            let (groups, commits) = (try histogram("firstcome_store_group_size"), try histogram("firstcome_store_commit_seconds"))
            #expect(groups.sum == shop.store.statistics.jobs && groups.count == shop.store.statistics.groups)
            #expect(groups.sum == before.groups.sum + 40 && commits.count == groups.count && commits.sum > 0)
            // A round trip is counted after its replies were delivered.
            try await eventually("the round trip is counted") {
                let trips = try histogram("firstcome_redis_round_trip_seconds")
                return trips.count > before.trips.count && trips.sum > before.trips.sum
            }
            // A reply that is held back for long is in a bucket above that.
            let slow = try histogram("firstcome_redis_round_trip_seconds").counts.suffix(7).reduce(0, +)
            shop.server.pause()
            async let claim = shop.claim(coupon, by: users[0])
            try await eventually("the claim was sent") { shop.redis.statistics.pending > 0 }
            try await Task.sleep(for: .milliseconds(150))
            shop.server.resume()
            _ = try await claim
            try await eventually("a round trip of more than 100 ms is counted") {
                try histogram("firstcome_redis_round_trip_seconds").counts.suffix(7).reduce(0, +) > slow
            }
        }
    }

    @Test("the process is described by what the kernel says of it")
    func process() throws {
        let metrics = Dictionary(uniqueKeysWithValues: ProcessMetrics.all().map { ($0.name, $0.samples.first?.value ?? -1) })
        #expect(metrics.count == 6 && metrics.values.allSatisfy { $0 > 0 })
        let age = Double(WallClock.system.now.milliseconds) / 1_000 - (metrics["process_start_time_seconds"] ?? 0)
        #expect(age > 0 && age < 86_400)
        #expect((metrics["process_resident_memory_bytes"] ?? 0) < (metrics["process_virtual_memory_bytes"] ?? 0))
        let open = metrics["process_open_fds"] ?? 0
        let files = (0..<50).map { _ in Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC) }
        defer { for descriptor in files { close(descriptor) } }
        let more = ProcessMetrics.all().first { $0.name == "process_open_fds" }?.samples.first?.value ?? 0
        // Other tests open and close some meanwhile.
        #expect(more >= open + 25 && more <= metrics["process_max_fds"] ?? 0)
        let spent = metrics["process_cpu_seconds_total"] ?? 0
        var sum = 0
        while (ProcessMetrics.all().first?.samples.first?.value ?? 0) <= spent { sum &+= 1 }
    }
}
