import Commerce
import Foundation
import GRDB
import NIOPosix
import Redis
import Store
import Synchronization
import TestSupport
import Testing

@testable import Services

/// One way in which Redis can lose or mix up what it knew of a campaign.
struct Loss: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let happen: @Sendable (Shop, CouponID) throws -> Void

    init(_ description: String, _ happen: @escaping @Sendable (Shop, CouponID) throws -> Void) {
        (testDescription, self.happen) = (description, happen)
    }

    /// Redis commands, with GATE and CLAIMS for the campaign's keys.
    private static func run(_ commands: String...) -> @Sendable (Shop, CouponID) throws -> Void {
        { shop, coupon in
            for command in commands {
                let line = command.replacing("GATE", with: RedisKeys.coupon(coupon)).replacing("CLAIMS", with: RedisKeys.claims(of: coupon))
                let script = "return tostring(redis.call(unpack(ARGV)))"
                let reply = try shop.server.cli(["EVAL", script, "0"] + line.split(separator: " ").map(String.init))
                guard !reply.contains("ERR") else { throw NotDone(result: "\(line): \(reply)") }
            }
        }
    }

    static let all = [
        Loss("everything (FLUSHALL)", run("FLUSHALL")),
        Loss("the gate", run("DEL GATE")),
        Loss("the claims", run("DEL CLAIMS")),
        Loss("both keys", run("DEL GATE CLAIMS")),
        Loss("the gate, for a string", run("SET GATE something")),
        Loss("the claims, for a list", run("DEL CLAIMS", "LPUSH CLAIMS 1 2 3")),
        Loss("both, for foreign types", run("SET GATE x", "SET CLAIMS y")),
        Loss("what was left", run("HDEL GATE remaining")),
        Loss("what was left, for no number", run("HSET GATE remaining nan")),
        Loss("the state", run("HSET GATE state ajar")),
        Loss("the epoch", run("HDEL GATE epoch")),
        Loss("the epoch, for an older one", run("HSET GATE epoch 0")),
        Loss("the epoch, for one that the store never reached", run("HSET GATE epoch 9")),
        Loss("the epoch, for the greatest number there is", run("HSET GATE epoch 9223372036854775807")),
        Loss("the sequence, which starts anew", run("HSET GATE sequence 0")),
        Loss("one claim", run("ZREM CLAIMS 1", "HINCRBY GATE remaining 1")),
        Loss("the builder of a paused gate", run("HSET GATE state paused")),
        Loss(
            "the builder of a half-loaded gate",
            run("HSET GATE state paused remaining 0 sequence 0", "ZREMRANGEBYRANK CLAIMS 5 -1")),
        Loss("the scripts") { shop, _ in _ = try shop.server.cli("SCRIPT", "FLUSH") },
    ]
}

@Suite("Redis forgets", .serialized)
struct RedisForgetsTests {
    @Test("winners stay winners and the rest goes to others, once and whole, after Redis has lost", arguments: Loss.all)
    func losses(loss: Loss) async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(70)
            let coupon = try await shop.makeCampaign(quantity: 30)
            let before = try await shop.claimTogether(coupon, by: Array(users[..<20]))
            try loss.happen(shop, coupon)
            // Half of the earlier winners come again among the newcomers, and nobody runs a recovery.
            let after = try await shop.claimTogether(coupon, by: Array(users[10...]))
            for user in users[10..<20] {
                guard case .won(let place)? = before[user] else { throw NotDone(result: "\(user) did not win") }
                #expect(after[user] == .already(place))
            }
            let newcomers = users[20...].compactMap { after[$0] }
            #expect(newcomers.count { if case .won = $0 { true } else { false } } == 10)
            #expect(newcomers.count { $0 == .refused(.couponSoldOut) } == 40)
            #expect(try await shop.issued(coupon).count == 30)
            try await shop.recovery.run(deep: true)
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("recovery alone repairs what Redis has lost", arguments: Loss.all)
    func recovery(loss: Loss) async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(20)
            let coupon = try await shop.makeCampaign(quantity: 30)
            _ = try await shop.claimTogether(coupon, by: users)
            let issued = try await shop.issued(coupon)
            try loss.happen(shop, coupon)
            let recovery = shop.recovery
            try await recovery.run(deep: true)
            #expect(recovery.unloadedCampaigns == [])
            try await shop.expectAgreement(on: coupon)
            #expect(try await shop.issued(coupon) == issued)
        }
    }

    @Test("a loss in the middle of the crowd costs nobody a place", arguments: Loss.all.prefix(6))
    func midSale(loss: Loss) async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(300)
            let coupon = try await shop.makeCampaign(quantity: 100)
            async let answers = shop.claimTogether(coupon, by: users)
            try await eventually("the sale is under way") { try await shop.issued(coupon).count >= 10 }
            try loss.happen(shop, coupon)
            let places = try await answers.compactMap { if case .won(let place) = $0.value { ($0.key, place) } else { nil } }
            try await shop.recovery.run(deep: true)
            try await shop.expectAgreement(on: coupon)
            // Everybody who was told that they won has that very place in the store.
            let issued = try await shop.issued(coupon)
            for (user, place) in places { #expect(issued[place] == user) }
            #expect(Set(places.map(\.1)).count == places.count)
            // A place that was granted right before the loss goes to the next who asks.
            let late = try await shop.claimTogether(coupon, by: users)
            let won = late.values.count { if case .won = $0 { true } else { false } }
            #expect(places.count + won == 100)
            #expect(try await shop.issued(coupon).count == 100)
        }
    }

    @Test("sold out and the claims deleted: recovery brings every winner back")
    func soldOutWithoutClaims() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(11)
            let coupon = try await shop.makeCampaign(quantity: 10)
            let places = try await shop.claimTogether(coupon, by: Array(users[..<10]))
            _ = try shop.server.cli("DEL", RedisKeys.claims(of: coupon))
            try await shop.recovery.run(deep: false)
            for user in users[..<10] {
                guard case .won(let place)? = places[user] else { throw NotDone(result: "\(user) did not win") }
                #expect(try await shop.claimPatiently(coupon, by: user) == .already(place))
            }
            #expect(try await shop.claimPatiently(coupon, by: users[10]) == .refused(.couponSoldOut))
        }
    }

    /// What Redis wrote down, and how a test brings an older state of it back.
    enum Files: CaseIterable {
        case snapshot, appendOnlyFile

        fileprivate var arguments: [String] { self == .snapshot ? [] : ["--appendonly", "yes"] }

        fileprivate func save(_ server: TemporaryRedis) throws {
            switch self {
            case .snapshot: try server.cli("SAVE")
            // A copy such as a backup takes while the server writes.
            case .appendOnlyFile: try FileManager.default.copyItem(atPath: server.directory + "/appendonlydir", toPath: copy(of: server))
            }
        }

        /// With the server down.
        fileprivate func restore(_ server: TemporaryRedis) throws {
            // Nothing was saved since, so the dump is the older state.
            guard self == .appendOnlyFile else { return }
            try FileManager.default.removeItem(atPath: server.directory + "/appendonlydir")
            try FileManager.default.moveItem(atPath: copy(of: server), toPath: server.directory + "/appendonlydir")
        }

        private func copy(of server: TemporaryRedis) -> String { server.directory + "/copy" }
    }

    @Test(
        "an older state comes back: later winners are still winners, and no place is given twice",
        arguments: Files.allCases, [true, false])
    func olderState(files: Files, withBackgroundWork: Bool) async throws {
        let setup = Shop.Setup(redisArguments: files.arguments, configure: { $0.recoveryInterval = .milliseconds(200) })
        try await withShop(setup) { shop in
            let users = try await shop.makeUsers(80)
            let coupon = try await shop.makeCampaign(quantity: 50)
            if withBackgroundWork { try await shop.start() }
            let early = try await shop.claimTogether(coupon, by: Array(users[..<15]))
            try files.save(shop.server)
            let later = try await shop.claimTogether(coupon, by: Array(users[15..<35]))
            shop.server.kill()
            try files.restore(shop.server)
            try shop.server.start()
            #expect(try shop.server.cli("ZCARD", RedisKeys.claims(of: coupon)) == "15" || withBackgroundWork)
            let winners = early.merging(later) { first, _ in first }
            let newcomers = try await shop.claimTogether(coupon, by: Array(users[35...]))
            #expect(newcomers.values.count { if case .won = $0 { true } else { false } } == 15)
            for user in users[..<35] {
                guard case .won(let place)? = winners[user] else { throw NotDone(result: "\(user) did not win") }
                #expect(try await shop.claimPatiently(coupon, by: user) == .already(place))
            }
            if !withBackgroundWork { try await shop.recovery.run(deep: true) }
            try await eventually("gate and store agree") { try await shop.granted(coupon) == shop.issued(coupon) }
            #expect(try await shop.issued(coupon).count == 50)
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a gate of an older epoch that looks sold out is not believed by recovery either")
    func olderEpochSoldOut() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(4)
            let coupon = try await shop.makeCampaign(quantity: 3)
            #expect(try await shop.claim(coupon, by: users[0]) == .won(1))
            for user in [users[1], users[3]] { try await shop.grantOnly(coupon, to: user) }
            _ = try shop.server.cli("SAVE")
            _ = try shop.server.cli("FLUSHALL")
            // Built without the places that the store never heard of, which go to those who ask.
            #expect(try await shop.claimPatiently(coupon, by: users[2]) == .won(2))
            try await shop.crash()
            try await shop.recovery.run(deep: true)
            #expect(try await shop.issued(coupon) == [1: users[0], 2: users[2]])
            try await shop.expectAgreement(on: coupon)
            #expect(try await shop.claim(coupon, by: users[3]) == .won(3))
            #expect(try await shop.claim(coupon, by: users[1]) == .refused(.couponSoldOut))
        }
    }

    @Test("with Redis full, a gate that has to be built stays paused and refuses nobody; it opens by itself when there is room")
    func full() async throws {
        try await withShop(Shop.Setup(configure: { $0.recoveryInterval = .milliseconds(100) })) { shop in
            let users = try await shop.makeUsers(12)
            let coupon = try await shop.makeCampaign(quantity: 10)
            let places = try await shop.claimTogether(coupon, by: Array(users[..<5]))
            try await shop.start()
            try await eventually("ready") { await shop.services.readiness().isReady }
            // Less than an empty server takes.
            try shop.server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1mb")
            try await shop.expectLater(coupon, by: Array(users[5...]))
            guard case .won(let place)? = places[users[0]] else { throw NotDone(result: "\(users[0]) did not win") }
            #expect(try await shop.claim(coupon, by: users[0]) == .already(place))
            try shop.server.cli("DEL", RedisKeys.coupon(coupon), RedisKeys.claims(of: coupon))
            try await eventually("the gate is paused") { try await shop.gate(of: coupon)?.isOpen == false }
            try await eventually("not ready") { await !shop.services.readiness().isReady }
            try await shop.expectLater(coupon, by: Array(users[5...]))
            #expect(try await shop.claim(coupon, by: users[0]) == .already(place), "the store knows the holders")
            #expect(try await shop.gate(of: coupon)?.claims == 0)
            try shop.server.cli("CONFIG", "SET", "maxmemory", "0")
            // Recovery tries again after growing pauses, of 5 s at most.
            try await eventually("the gate is open") { try await shop.gate(of: coupon)?.isOpen == true }
            for (user, answer) in places {
                guard case .won(let place) = answer else { throw NotDone(result: "\(user) did not win") }
                #expect(try await shop.claim(coupon, by: user) == .already(place))
            }
            let late = try await shop.claimTogether(coupon, by: Array(users[5...])).values
            #expect(late.count { if case .won = $0 { true } else { false } } == 5)
            #expect(late.count { $0 == .refused(.couponSoldOut) } == 2)
            try await eventually("ready again") { await shop.services.readiness().isReady }
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("many recoveries at once, beside the sale, do no harm")
    func concurrentRecoveries() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(200)
            let coupon = try await shop.makeCampaign(quantity: 80)
            async let answers = shop.claimTogether(coupon, by: users)
            try await withThrowingTaskGroup { group in
                for round in 0..<8 {
                    group.addTask {
                        if round == 3 { _ = try shop.server.cli("FLUSHALL") }
                        // Two builds may get in each other's way: one is told so, and the campaign is looked at again.
                        try await shop.recovery.run(deep: round.isMultiple(of: 2), grace: .seconds(2))
                    }
                }
                try await group.waitForAll()
            }
            let won = try await answers.values.count { if case .won = $0 { true } else { false } }
            try await shop.recovery.run(deep: true)
            try await shop.expectAgreement(on: coupon)
            let late = try await shop.claimTogether(coupon, by: users).values.count { if case .won = $0 { true } else { false } }
            #expect(won + late == 80)
        }
    }

    @Test("whatever is lost and recovered under load, the gate never offers more than is left")
    func neverAboveTheTruth() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(600)
            let coupon = try await shop.makeCampaign(quantity: 400)
            let isOver = Flag()
            let samples = Mutex(0)
            let sampling = Task {
                while !isOver.isUp {
                    // The store first: what it has by now the gate must have taken off.
                    let issued = try #require(try shop.reader.campaign(coupon)).issued
                    if let gate = try await shop.gate(of: coupon), gate.isOpen, let remaining = gate.remaining {
                        #expect(remaining <= 400 - issued)
                        samples.withLock { $0 += 1 }
                    }
                }
            }
            let recovering = Task {
                while !isOver.isUp { try await shop.recovery.run(deep: true, grace: .milliseconds(100)) }
            }
            // In small groups, with a look at the gate between any two.
            for start in stride(from: 0, to: 600, by: 10) {
                if start == 200 { _ = try shop.server.cli("DEL", RedisKeys.coupon(coupon), RedisKeys.claims(of: coupon)) }
                if start == 400 { _ = try shop.server.cli("FLUSHALL") }
                _ = try await shop.claimTogether(coupon, by: Array(users[start..<start + 10]))
                let seen = samples.withLock { $0 }
                try await eventually("another look") { samples.withLock { $0 } > seen }
            }
            isOver.raise()
            try await recovering.value
            try await sampling.value
            #expect(samples.withLock { $0 } >= 60)
            try await shop.recovery.run(deep: true)
            try await shop.expectAgreement(on: coupon)
        }
    }

    /// `make bench` measures how soon.
    @Test("100,000 issued coupons are back in Redis after a restart")
    func hundredThousand() async throws {
        try await withShop(.hundredThousandCoupons) { shop in
            let coupon = CouponID(1)
            try await shop.start()
            try await eventually("the gate is loaded") { await shop.services.readiness().isReady }
            #expect(try await shop.gate(of: coupon)?.claims == 100_000)
            shop.server.kill()
            try shop.server.start()
            try await eventually("the gate is open with all its claims") {
                guard let gate = try? await shop.gate(of: coupon) else { return false }
                return gate.isOpen && gate.claims == 100_000
            }
            #expect(try await shop.claimPatiently(coupon, by: UserID(77_777)) == .already(77_777))
            try await eventually("ready") { await shop.services.readiness().isReady }
        }
    }
}

extension Shop {
    /// None of them gets an answer for good: each is told to come back.
    fileprivate func expectLater(_ coupon: CouponID, by users: [UserID], sourceLocation: SourceLocation = #_sourceLocation) async throws {
        for user in users {
            let answer = try await claim(coupon, by: user)
            guard case .later = answer else {
                Issue.record("\(user): \(answer)", sourceLocation: sourceLocation)
                continue
            }
        }
    }
}
