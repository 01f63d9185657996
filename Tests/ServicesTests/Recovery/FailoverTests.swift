import Commerce
import NIOCore
import Redis
import Store
import TestSupport
import Testing

@testable import Services

/// How a replica that lags comes to be the Redis of a service.
enum Failover: Sendable, CaseIterable {
    /// The old primary is killed.
    case oldPrimaryDies
    /// The old primary lives on, and nobody is led to it any more.
    case oldPrimaryLives
    /// For a while some connections stay with the old primary: two gates decide.
    case splitBrain
}

@Suite("Failover to a replica that lags", .serialized)
struct FailoverTests {
    /// A primary, its replica, and a proxy that leads clients to the primary first.
    private func withReplica(_ body: (TemporaryRedis, TemporaryRedis, FaultProxy) async throws -> Void) async throws {
        try await withTemporaryRedis(arguments: ["--repl-diskless-sync-delay", "0"], onTCP: true) { primary in
            let port = try #require(primary.port)
            try await withTemporaryRedis(arguments: ["--replicaof", "127.0.0.1", "\(port)"]) { replica in
                // The replica is up before the primary sends it what changes.
                try await eventually("the replica follows") { try primary.cli("INFO", "replication").contains("state=online") }
                let proxy = try await FaultProxy(to: primary.socketPath, in: primary.directory)
                try await body(primary, replica, proxy)
                try await proxy.close()
            }
        }
    }

    @Test(
        "no unit goes to two, none is stranded, winners stay winners, and the ranking goes on from the replica's own offset",
        arguments: Failover.allCases)
    func midSale(failover: Failover) async throws {
        try await withReplica { primary, replica, proxy in
            let setup = Shop.Setup(endpoint: .unix(path: proxy.socketPath), configure: { $0.recoveryInterval = .milliseconds(200) })
            try await withShop(setup, on: primary) { shop in
                let users = try await shop.makeUsers(500, balance: 1_000)
                let coupon = try await shop.makeCampaign(quantity: 300)
                let product = try await shop.makeProduct(price: 1)
                try await shop.start()
                try await eventually("ready") { await shop.services.readiness().isReady }

                async let first = shop.sell(coupon, product, to: Array(users[..<100]))
                try await eventually("the sale is under way, on the replica too") { try replica.claimCount(of: coupon) >= 40 }
                try replica.cli("REPLICAOF", "NO", "ONE")
                // A rebuild would take this away: only a relay that goes on from the offset leaves it.
                let foreign = ProductID(4_711)
                let today = RedisKeys.sales(on: shop.day(ago: 0))
                try replica.cli("ZADD", today, "1", "\(foreign)")
                try replica.cli("HINCRBY", RedisKeys.products, today, "1")
                var answers = try await first
                answers.merge(try await shop.sell(coupon, product, to: Array(users[100..<200]))) { $1 }
                #expect(try shop.issuedNow(coupon) == 200)
                #expect(try (40...100).contains(replica.claimCount(of: coupon)))
                #expect(try replica.cli("EXISTS", RedisKeys.applied) == "1")

                async let last = shop.sell(coupon, product, to: Array(users[200..<400]))
                try await eventually("the sale goes on") { try shop.issuedNow(coupon) >= 210 }
                try await switchOver(failover, primary, replica, proxy)
                answers.merge(try await last) { $1 }

                var places: [Int64: UserID] = [:]
                for (user, answer) in answers {
                    guard case .won(let place) = answer else { continue }
                    #expect(places.updateValue(user, forKey: place) == nil, "place \(place) was given twice")
                }
                try await eventually("connected") { shop.redis.isConnected }
                for (user, answer) in try await shop.claimTogether(coupon, by: users) {
                    switch answer {
                    case .won(let place): #expect(places.updateValue(user, forKey: place) == nil, "place \(place) was given twice")
                    case .already(let place): #expect(places[place, default: user] == user)
                    case .refused(.couponSoldOut): #expect(!places.values.contains(user))
                    case .refused, .later, .replayed: Issue.record("\(user): \(answer)")
                    }
                }
                let issued = try await shop.issued(coupon)
                #expect(issued.count == 300)
                for (place, user) in places { #expect(issued[place] == user) }
                try await shop.recovery.run(deep: true)
                try await shop.expectAgreement(on: coupon)

                try await eventually("every sale is counted") { try await shop.offset() == shop.store.lastEventID().rawValue }
                let scores = try await shop.scores(on: shop.day(ago: 0))
                #expect(scores == [product: 400, foreign: 1])
            }
        }
    }

    private func switchOver(_ failover: Failover, _ primary: TemporaryRedis, _ replica: TemporaryRedis, _ proxy: FaultProxy) async throws {
        proxy.move(to: try SocketAddress(unixDomainSocketPath: replica.socketPath))
        switch failover {
        case .oldPrimaryDies: primary.kill()
        case .oldPrimaryLives: proxy.cutConnections()
        case .splitBrain:
            proxy.cutConnections(1)
            let before = try (primary.scriptCalls(), replica.scriptCalls())
            try await eventually("both decide") {
                try primary.scriptCalls() > before.0 + 20 && replica.scriptCalls() > before.1 + 20
            }
            proxy.cutConnections()
        }
    }
}

extension TemporaryRedis {
    fileprivate func claimCount(of coupon: CouponID) throws -> Int64 { Int64(try cli("ZCARD", RedisKeys.claims(of: coupon))) ?? 0 }
}

extension Shop {
    /// Everybody claims and buys a piece, in groups of ten; answers what their claims came to.
    fileprivate func sell(_ coupon: CouponID, _ product: ProductID, to users: [UserID]) async throws -> [UserID: ClaimAnswer] {
        var answers: [UserID: ClaimAnswer] = [:]
        for start in stride(from: 0, to: users.count, by: 10) {
            let group = Array(users[start..<min(start + 10, users.count)])
            answers.merge(try await claimTogether(coupon, by: group)) { _, new in new }
            for user in group { _ = try await sell([(product, 1)], to: user, on: day(ago: 0)) }
        }
        return answers
    }

    fileprivate func issuedNow(_ coupon: CouponID) throws -> Int64 { try #require(try reader.campaign(coupon)).issued }
}
