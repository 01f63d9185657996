import Commerce
import NIOCore
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Reconnects", .serialized)
struct ReconnectTests {
    private static let pastTheTest: Duration = .seconds(86_400)

    @Test("a reconnect during the recovery after the last one begins another at once, which knows nothing of the Redis before")
    func duringRecovery() async throws {
        // Recovery leaves claims without a row to their claimants for as long as a command may take.
        let setup = Shop.Setup(commandDeadline: .hours(1), configure: { $0.recoveryInterval = Self.pastTheTest })
        try await withShop(setup) { shop in
            let users = try await shop.makeUsers(2)
            let coupon = try await shop.makeCampaign(quantity: 5)
            #expect(try await shop.claim(coupon, by: users[0]) == .won(1))
            try await shop.start()
            try await eventually("ready") { await shop.services.readiness().isReady }
            try await shop.grantOnly(coupon, to: users[1])

            let compared = shop.comparedClaims
            try await shop.cutConnections()
            try await eventually("the recovery waits for the claimant") { shop.comparedClaims >= compared + 3 }
            try await eventually("ready again") { await shop.services.readiness().isReady }
            try shop.server.cli("FLUSHALL")
            try await shop.cutConnections()
            try await eventually("the gate is open") { try await shop.gate(of: coupon)?.isOpen == true }
            try await eventually("ready in the end") { await shop.services.readiness().isReady }
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("while a gate cannot be built after a reconnect, the other gates are compared once, not with every try")
    func retries() async throws {
        let setup = Shop.Setup(configure: { $0.recoveryInterval = Self.pastTheTest })
        try await withShop(setup) { shop in
            let users = try await shop.makeUsers(20)
            let (whole, broken) = (try await shop.makeCampaign(quantity: 50), try await shop.makeCampaign(quantity: 50))
            _ = try await shop.claimTogether(whole, by: users)
            try await shop.start()
            try await eventually("ready") { await shop.services.readiness().isReady }
            let (compared, reconnects) = (shop.comparedClaims, shop.redis.statistics.reconnects)
            try shop.server.cli("DEL", RedisKeys.coupon(broken), RedisKeys.claims(of: broken))
            // Less than an empty server takes.
            try shop.server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1mb")
            try await shop.cutConnections()
            try await eventually("compared") { shop.comparedClaims >= compared + 40 }
            let refusals = try shop.refusedBuilds()
            // Each connection that comes back may lead to another Redis.
            func connections() -> Int { shop.redis.statistics.reconnects - reconnects }
            try await eventually("tried again and again") { try shop.refusedBuilds() >= refusals + connections() + 4 }
            #expect(shop.comparedClaims <= compared + 40 * connections())
            try shop.server.cli("CONFIG", "SET", "maxmemory", "0")
            try await eventually("ready again") { await shop.services.readiness().isReady }
            try await shop.expectAgreement(on: broken)
        }
    }
}

extension Shop {
    /// Claims that the recovery of the service has read.
    fileprivate var comparedClaims: Int {
        services.metrics().first { $0.name == "firstcome_recovery_claims_compared_total" }.map { Int($0.samples[0].value) } ?? 0
    }

    /// Has Redis end every connection, and waits until each is made anew.
    fileprivate func cutConnections() async throws {
        let before = redis.statistics.reconnects
        try server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try await eventually("connected again") { redis.statistics.reconnects > before && redis.isConnected }
    }

    /// How many commands Redis has refused for want of memory.
    fileprivate func refusedBuilds() throws -> Int {
        let line = try server.cli("INFO", "errorstats").split(whereSeparator: \.isNewline).first { $0.hasPrefix("errorstat_OOM:") }
        return line.flatMap { Int($0.drop { $0 != "=" }.dropFirst()) } ?? 0
    }
}
