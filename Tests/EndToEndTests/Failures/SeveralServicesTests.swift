import Foundation
import NIOHTTP1
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
    @Suite(
        "three services behind HAProxy, as configured in the deployment folder",
        .enabled(if: ShopBehindProxy.isInstalled, "HAProxy is not installed"))
    struct SeveralServicesTests {}
}

extension EndToEnd.SeveralServicesTests {
    private static let charge = #"{"amount": 1000}"#

    /// A user who charges a balance again and again without a key, so that a repeated charge shows, and reads after each.
    private struct User: Sendable {
        let id: Int
        let token: String
        var charges: String { "/users/\(id)/balance/charges" }
    }

    /// What users were told, by request.
    private final class Record: Sendable {
        struct Failure: Sendable {
            let began: ContinuousClock.Instant
            let what: String
        }

        private struct State {
            var answered = 0
            var isStopped = false
            var reads: [String] = []
            var charges: [Failure] = []
        }

        private let state = Mutex(State())

        var isStopped: Bool { state.withLock { $0.isStopped } }
        /// Reads that were not answered, or not by what is known.
        var failedReads: [String] { state.withLock { $0.reads } }
        var failedCharges: [Failure] { state.withLock { $0.charges } }

        func answered() { state.withLock { $0.answered += 1 } }
        func readFailed(_ what: String) { state.withLock { $0.reads.append(what) } }
        func chargeFailed(_ failure: Failure) { state.withLock { $0.charges.append(failure) } }
        func stop() { state.withLock { $0.isStopped = true } }

        /// Waits until so many further requests are answered.
        func goOn(_ count: Int, _ claim: String) async throws {
            let before = state.withLock { $0.answered }
            try await eventually(claim) { state.withLock { $0.answered >= before + count } }
        }
    }

    private static func users(_ count: Int, of shop: ShopBehindProxy) async throws -> [User] {
        let admin = try await shop.tokens("--admin")[0]
        for _ in 0..<count {
            let made = try await shop.call(.POST, "/users", body: #"{"name": "이바다"}"#, token: admin)
            #expect(made.status == 201, "\(made)")
        }
        let tokens = try await shop.tokens("--user", "1-\(count)")
        return tokens.enumerated().map { User(id: $0.offset + 1, token: $0.element) }
    }

    /// Charges and reads until the record is stopped.
    private static func shop(_ user: User, _ shop: ShopBehindProxy, _ record: Record) async {
        var (charged, uncertain) = (0, 0)
        while !record.isStopped {
            let began = ContinuousClock.now
            do {
                let answer = try await shop.call(.POST, user.charges, body: charge, token: user.token)
                guard answer.status == 201 else { throw HTTPAnswer.NotAsExpected(description: "\(answer)") }
                charged += 1
                record.answered()
            } catch {
                uncertain += 1
                record.chargeFailed(.init(began: began, what: "\(error)"))
            }
            // Whichever service answers knows what another one has answered.
            let possible = (charged...charged + uncertain).map { #"{"userId":\#(user.id),"balance":\#($0 * 1_000)"# }
            do {
                let answer = try await shop.call(.GET, "/users/\(user.id)/balance", token: user.token)
                if answer.status == 200, possible.contains(where: { answer.text.hasPrefix($0) }) {
                    record.answered()
                } else {
                    record.readFailed("after \(charged) charges and \(uncertain) without an answer: \(answer)")
                }
            } catch {
                record.readFailed("\(error)")
            }
        }
    }

    /// Runs `body` while users charge and read, then waits for their end.
    private static func underLoad(
        of users: [User], _ shop: ShopBehindProxy, _ body: (Record) async throws -> Void
    ) async throws -> Record {
        let record = Record()
        try await withThrowingTaskGroup { group in
            for user in users { group.addTask { await Self.shop(user, shop, record) } }
            defer { record.stop() }
            try await body(record)
        }
        return record
    }

    /// How late the proxy may see that a service's connections have closed, when the machine is busy.
    private static let noticed: Duration = .milliseconds(500)

    @Test("no GET fails when a service is killed or drained, and no POST but those that were under way at the killed one")
    func killedAndDrained() async throws {
        try await ShopBehindProxy.run { shop in
            let users = try await Self.users(8, of: shop)
            var (killed, gone) = (ContinuousClock.now, ContinuousClock.now)
            let record = try await Self.underLoad(of: users, shop) { record in
                try await record.goOn(200, "three services answer")
                killed = .now
                try await shop.service(0).end(SIGKILL)
                gone = .now
                try await record.goOn(200, "two services answer after a kill")
                try await shop.haveProxySee(0, ready: false)
                try await shop.start(0)
                try await shop.haveProxySee(0, ready: true)
                try await record.goOn(200, "three services answer again")
                #expect(try await shop.service(1).end(SIGTERM) == 0)
                try await record.goOn(200, "two services answer after a stop")
            }
            #expect(record.failedReads.isEmpty, "\(record.failedReads)")
            let excused = record.failedCharges.filter { killed - Self.noticed < $0.began && $0.began < gone + Self.noticed }
            #expect(excused.count <= users.count, "\(excused.map(\.what))")
            #expect(record.failedCharges.count == excused.count, "\(record.failedCharges.map(\.what))")
            for number in 0..<3 {
                let log = try String(contentsOfFile: shop.accessLog(number), encoding: .utf8)
                #expect(log.split(separator: "\n").count { $0.contains("/balance/charges") } > 10, "service \(number) had its part")
            }
            let audit = try await Tool.run("audit", "--store", shop.storeURL, "--redis", shop.redisURL)
            #expect(audit.status == 0, "\(audit.standardOutput)\(audit.standardError)")
        }
    }

    @Test("a POST that took effect at a service that died before its answer is not repeated by the proxy")
    func notRepeated() async throws {
        try await ShopBehindProxy.run(firstService: ["FIRSTCOME_FAULT_POINT": "beforeAnswer:4"]) { shop in
            // The fourth success of the first service is one of these.
            let user = try await Self.users(1, of: shop)[0]
            var charges = 0
            var failed = false
            while !failed {
                charges += 1
                try #require(charges <= 100, "the first service gets its part of the requests")
                do {
                    let answer = try await shop.call(.POST, user.charges, body: Self.charge, token: user.token)
                    // HAProxy answers, or closes the connection where it had used the one to the service before.
                    if answer.status == 502 { failed = true } else { #expect(answer.status == 201, "\(answer)") }
                } catch {
                    failed = true
                }
            }
            try await eventually("the first service has died") { try !shop.service(0).isRunning }
            let balance = try await shop.call(.GET, "/users/\(user.id)/balance", token: user.token)
            #expect(balance.text.contains(#""balance":\#(charges * 1_000)"#), "\(balance) after \(charges) charges")
        }
    }

    @Test("while Redis is away no service is ready, and all of them serve what needs no Redis")
    func withoutRedis() async throws {
        try await ShopBehindProxy.run { shop in
            let users = try await Self.users(4, of: shop)
            let admin = try await shop.tokens("--admin")[0]
            let campaign = #"{"name": "선착순", "discount": {"type": "FIXED", "amount": 1000}, "quantity": 100}"#
            #expect(try await shop.call(.POST, "/coupons", body: campaign, token: admin).status == 201)
            let record = try await Self.underLoad(of: users, shop) { record in
                #expect(try await shop.call(.POST, "/coupons/1/claims", token: users[0].token).status == 201)
                try await offPool { shop.redis.kill() }
                for number in 0..<3 { try await shop.haveProxySee(number, ready: false) }
                try await record.goOn(100, "services answer without Redis")
                let claim = try await shop.call(.POST, "/coupons/1/claims", token: users[1].token)
                #expect(claim.status == 503 && claim.text.contains(#""code":"#), "the service's own refusal: \(claim)")
                try await offPool { try shop.redis.start() }
                for number in 0..<3 { try await shop.haveProxySee(number, ready: true) }
                #expect(try await shop.call(.POST, "/coupons/1/claims", token: users[1].token).status == 201)
            }
            #expect(record.failedReads.isEmpty, "\(record.failedReads)")
            #expect(record.failedCharges.isEmpty, "\(record.failedCharges.map(\.what))")
        }
    }

    @Test("limits count the client's address, which a client cannot choose, and operators' routes stay inside")
    func addresses() async throws {
        try await ShopBehindProxy.run(["--address-rate", "20/h", "--limits-in", "redis"]) { shop in
            let product = "/api/v1/products/1"
            let first = try await shop.statuses(of: Array(repeating: product, count: 30), from: "127.0.0.2")
            #expect(first == Array(repeating: "404", count: 20) + Array(repeating: "429", count: 10))
            for header in ["X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1"] {
                #expect(try await shop.statuses(of: [product], from: "127.0.0.2", headers: [header]) == ["429"], "\(header)")
            }
            #expect(try await shop.statuses(of: [product], from: "127.0.0.3") == ["404"], "another client is not limited")
            let inside = try await shop.statuses(of: ["/metrics", "/readyz", "/healthz"], from: "127.0.0.3")
            #expect(inside == ["404", "404", "200"])
            try await eventually("the access logs have the client's address") {
                let logs = try (0..<3).map { try String(contentsOfFile: shop.accessLog($0), encoding: .utf8) }
                return logs.joined().contains(#""remote":"127.0.0.3""#)
            }
        }
    }
}
