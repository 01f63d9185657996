import Commerce
import JSON
import Redis
import Services
import Store
import TestSupport
import Testing

extension EndToEnd {
    @Suite("First come, first served", .sharedService { $0.connections = 250 }, .everyEngine)
    struct FirstComeTests {}
}

extension EndToEnd.FirstComeTests {
    @Test("5,000 people press at once for 100 coupons: exactly 100 win, numbered 1 to 100, and Redis, store and audit agree")
    func fiveThousand() async throws {
        let live = try service
        let coupon = try await live.admin.makeCoupon(quantity: 100)
        let users = try await live.newUsers(5_000)
        try await live.warmConnections(250)
        let answers = try await together(users) { try await $0.claim(coupon) }

        #expect(answers.statusCounts == ["201": 100, "409 COUPON_SOLD_OUT": 4_900])
        let winners = try answers.with(status: 201)
            .map { (sequence: try $0.int("sequence"), user: try $0.int("userId"), code: try $0.string("code")) }
            .sorted { $0.sequence < $1.sequence }
        #expect(winners.map(\.sequence) == Array(1...100))
        #expect(Set(winners.map(\.user)).count == 100 && Set(winners.map(\.code)).count == 100)

        let claims = try await live.sortedSet("coupon:{\(coupon)}:claims")
        #expect(claims.map(\.member) == winners.map { String($0.user) } && claims.map(\.score) == winners.map(\.sequence))
        #expect(try await live.redis(RedisCommand("HGET", .string("coupon:{\(coupon)}"), "remaining")).integer == 0)
        let stored = try await live.store.claims(of: CouponID(coupon), afterSequence: 0, limit: 1_000)
        #expect(stored.map(\.userID.rawValue) == winners.map(\.user) && stored.map(\.sequence) == winners.map(\.sequence))
        let campaign = try await live.guest.get("/coupons/\(coupon)").expect(200)
        #expect(try campaign.int("remaining") == 0 && campaign.string("status") == "SOLD_OUT")

        let report = try await live.audit()
        #expect(report.isClean, "\(report.checks.flatMap(\.violations))")
        #expect(report.checks.filter { [1, 3].contains($0.invariant) && !$0.claim.contains("archived") }.allSatisfy { $0.rowsChecked > 0 })
    }

    @Test("one user presses 1,000 times at once: one coupon, one 201, and 999 answers that show this very coupon")
    func oneUser() async throws {
        let live = try service
        let coupon = try await live.admin.makeCoupon(quantity: 1_000)
        let user = try await live.newUser()
        let answers = try await together(Array(repeating: user, count: 1_000)) { try await $0.claim(coupon) }
        #expect(answers.statusCounts == ["201": 1, "409 COUPON_ALREADY_CLAIMED": 999])
        let won = try #require(answers.with(status: 201).first).json()
        #expect(try answers.with(status: 409).allSatisfy { try $0.value("issuedCoupon") == won })
        #expect(try await live.redis(RedisCommand("HGET", .string("coupon:{\(coupon)}"), "remaining")).integer == 999)
        #expect(try await live.sortedSet("coupon:{\(coupon)}:claims").map(\.score) == [1])
    }

    @Test("a quantity that is raised after the sell-out lets exactly so many more win, and one that is lowered fewer")
    func raisedQuantity() async throws {
        let live = try service
        let coupon = try await live.admin.makeCoupon(quantity: 2)
        let users = try await live.newUsers(40)
        #expect(
            try await together(Array(users[..<20])) { try await $0.claim(coupon) }.statusCounts == ["201": 2, "409 COUPON_SOLD_OUT": 18])
        _ = try await live.admin.patch("/coupons/\(coupon)", #"{"quantity": 9}"#).expect(200)
        #expect(try await users[20].claim(coupon).expect(201).int("sequence") == 3)
        _ = try await live.admin.patch("/coupons/\(coupon)", #"{"quantity": 7}"#).expect(200)
        #expect(
            try await together(Array(users[21...])) { try await $0.claim(coupon) }.statusCounts == ["201": 4, "409 COUPON_SOLD_OUT": 15])
        #expect(try await live.sortedSet("coupon:{\(coupon)}:claims").map(\.score) == Array(1...7))
    }

    @Test("a quantity raised in the middle of the rush never issues more than it says")
    func raisedUnderLoad() async throws {
        let live = try service
        let coupon = try await live.admin.makeCoupon(quantity: 10)
        let users = try await live.newUsers(600)
        async let changes: Void = {
            for quantity in [20, 15, 40, 25, 50] { _ = try await live.admin.patch("/coupons/\(coupon)", #"{"quantity": \#(quantity)}"#) }
        }()
        let answers = try await together(users) { try await $0.claim(coupon) }
        try await changes
        let quantity = try await live.guest.get("/coupons/\(coupon)").expect(200).int("quantity")
        #expect(answers.with(status: 201).count <= quantity)
        #expect(answers.count == answers.with(status: 201).count + answers.with(status: 409).count, "\(answers.statusCounts)")
        #expect(
            try answers.with(status: 201).map { try $0.int("sequence") }.sorted()
                == (0..<answers.with(status: 201).count).map { Int64($0) + 1 })
    }

    @Test("a key used before the opening is not spent: 409 with the opening time first, then 201 with the same key")
    func earlyClick() async throws {
        let live = try service
        let opensAt = Instant(milliseconds: WallClock.system.now.milliseconds + 1_200)
        let coupon = try await live.admin.makeCoupon(quantity: 5, #", "opensAt": "\#(opensAt)""#)
        let user = try await live.newUser()
        let early = try await user.post("/coupons/\(coupon)/claims", key: "early bird")
        // A space is no visible character.
        #expect(early.status == 400)
        let first = try await user.post("/coupons/\(coupon)/claims", key: "early-bird")
        #expect(first.code == "COUPON_NOT_OPEN")
        #expect(try first.string("opensAt") == opensAt.description)
        #expect(["1", "2"].contains(first[header: "retry-after"]))
        var answer = first
        try await eventually("the coupon opens") {
            answer = try await user.post("/coupons/\(coupon)/claims", key: "early-bird")
            return answer.code != "COUPON_NOT_OPEN"
        }
        #expect(answer.status == 201)
        #expect(WallClock.system.now >= opensAt)
        let again = try await user.post("/coupons/\(coupon)/claims", key: "early-bird").expect(201)
        #expect(again.text == answer.text && again[header: "idempotent-replayed"] == "true")
    }

    @Test("a campaign whose end is moved to now closes, and one whose opening is moved to now opens")
    func movedWindow() async throws {
        let live = try service
        let coupon = try await live.admin.makeCoupon(quantity: 5, #", "opensAt": "2098-01-01T00:00:00Z""#)
        let users = try await live.newUsers(3)
        #expect(try await users[0].claim(coupon).code == "COUPON_NOT_OPEN")
        _ = try await live.admin.patch("/coupons/\(coupon)", #"{"opensAt": "2020-01-01T00:00:00Z"}"#).expect(200)
        #expect(try await users[0].claim(coupon).status == 201)
        _ = try await live.admin.patch("/coupons/\(coupon)", #"{"closesAt": "2020-01-02T00:00:00Z"}"#).expect(200)
        #expect(try await users[1].claim(coupon).code == "COUPON_CLOSED")
        #expect(try await users[0].claim(coupon).status == 409)
    }

    @Test("a gate deleted or damaged in the middle of the sale is never read as sold out, and gives no unit twice")
    func damagedGate() async throws {
        let live = try service
        let coupon = try await live.admin.makeCoupon(quantity: 30)
        let users = try await live.newUsers(60)
        for user in users[..<5] { _ = try await user.claim(coupon).expect(201) }
        let (gate, claims) = ("coupon:{\(coupon)}", "coupon:{\(coupon)}:claims")
        let damages: [[RedisCommand]] = [
            [RedisCommand("DEL", .string(gate))], [RedisCommand("DEL", .string(claims))],
            [RedisCommand("DEL", .string(gate), .string(claims))],
            [RedisCommand("DEL", .string(gate)), RedisCommand("SET", .string(gate), "x")],
            [RedisCommand("ZREMRANGEBYSCORE", .string(claims), 2, 3)],
        ]
        for (index, damage) in damages.enumerated() {
            for command in damage { _ = try await live.redis(command) }
            let user = users[5 + index]
            var answer: HTTPAnswer?
            try await eventually("the claim is decided after damage \(index)") {
                let next = try await user.claim(coupon)
                #expect(next.code != "COUPON_SOLD_OUT" && next.status < 500 || next.status == 503, "\(index): \(next.text)")
                answer = next
                return next.status == 201
            }
            #expect(try answer?.int("sequence") == Int64(6 + index))
        }
        let rest = try await together(Array(users[10...])) { try await $0.claim(coupon) }
        #expect(rest.statusCounts == ["201": 20, "409 COUPON_SOLD_OUT": 30])
        let stored = try await live.store.claims(of: CouponID(coupon), afterSequence: 0, limit: 100)
        #expect(stored.map(\.sequence) == Array(1...30) && Set(stored.map(\.userID)).count == 30)
    }
}
