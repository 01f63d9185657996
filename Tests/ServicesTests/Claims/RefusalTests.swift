import Commerce
import GRDB
import NIOPosix
import Redis
import Store
import TestSupport
import Testing

@testable import Services

/// A gate that was saved, a change after that, and what the first claim must come to when the saved gate is back.
struct OldGate: Sendable, CustomTestStringConvertible {
    enum Answer: Sendable {
        case wins, closed
        case notOpen(in: Int64)
    }

    let testDescription: String
    /// Sold out before it is saved.
    var isSoldOut = false
    var opensIn: Int64 = -60_000
    var closesIn: Int64?
    /// Milliseconds from now, as the window's edges are.
    var newOpensIn: Int64?
    var newClosesIn: Int64?
    var newQuantity: Int64?
    let answer: Answer

    static let all = [
        OldGate(testDescription: "before a raise", isSoldOut: true, newQuantity: 3, answer: .wins),
        OldGate(testDescription: "before the opening was moved up", opensIn: 600_000, newOpensIn: -10_000, answer: .wins),
        OldGate(testDescription: "before the opening was put off", opensIn: 600_000, newOpensIn: 900_000, answer: .notOpen(in: 900_000)),
        OldGate(testDescription: "before the end was put off", closesIn: -10_000, newClosesIn: 600_000, answer: .wins),
        OldGate(testDescription: "before an end in the past was moved", closesIn: -10_000, newClosesIn: -5_000, answer: .closed),
        OldGate(
            testDescription: "before it was closed for later", closesIn: -10_000, newOpensIn: 300_000, newClosesIn: 600_000,
            answer: .notOpen(in: 300_000)),
    ]
}

@Suite("No refusal is believed from a gate that disagrees with the store", .serialized)
struct RefusalTests {
    @Test(
        "a gate that went back is repaired by the claim that it would refuse, and no recovery has to run", arguments: OldGate.all)
    func wentBack(_ row: OldGate) async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(4)
            let now = shop.clock.now.milliseconds
            let coupon = try await shop.makeCampaign(quantity: 2, opensIn: row.opensIn, closesIn: row.closesIn)
            if row.isSoldOut {
                #expect(try await shop.claim(coupon, by: users[0]) == .won(1))
                #expect(try await shop.claim(coupon, by: users[1]) == .won(2))
            }
            // What the loops know of the campaign is as old as the gate.
            let before = try await shop.claim(coupon, by: users[2])
            guard case .refused = before else { throw NotDone(result: "\(before) by the gate that is saved") }
            _ = try shop.server.cli("SAVE")
            let change = CampaignChange(
                quantity: row.newQuantity, opensAt: row.newOpensIn.map { Instant(milliseconds: now + $0) },
                closesAt: row.newClosesIn.map { Instant(milliseconds: now + $0) })
            _ = try await shop.campaigns.change(coupon, change).value
            try await shop.crash()
            let answer = try await shop.claimPatiently(coupon, by: users[2])
            switch row.answer {
            case .wins: #expect(answer == .won(row.isSoldOut ? 3 : 1))
            case .closed: #expect(answer == .refused(.couponClosed))
            case .notOpen(let later): #expect(answer == .refused(.couponNotOpen(opensAt: Instant(milliseconds: now + later))))
            }
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a gate of an older epoch that looks sold out, closed or not open is rebuilt, not believed")
    func olderEpoch() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(5)
            let coupon = try await shop.makeCampaign(quantity: 3)
            #expect(try await shop.claim(coupon, by: users[0]) == .won(1))
            for user in users[1...2] { try await shop.grantOnly(coupon, to: user) }
            #expect(try await shop.claim(coupon, by: users[3]) == .refused(.couponSoldOut))
            _ = try shop.server.cli("SAVE")
            _ = try shop.server.cli("FLUSHALL")
            // Built without the places that the store never heard of.
            #expect(try await shop.claimPatiently(coupon, by: users[3]) == .won(2))
            try await shop.crash()
            #expect(try await shop.claimPatiently(coupon, by: users[4]) == .won(3))
            #expect(try await shop.claimPatiently(coupon, by: users[1]) == .refused(.couponSoldOut))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a gate with the store's terms that has granted more than there are is rebuilt from the store")
    func grantedTooMany() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(4)
            let coupon = try await shop.makeCampaign(quantity: 3)
            for user in users[..<3] { try await shop.grantOnly(coupon, to: user) }
            // As after a change whose word to the gate was lost.
            _ = try await shop.store.updateCampaign(coupon, CampaignChange(quantity: 2)).value
            #expect(try await shop.claim(coupon, by: users[3]) == .won(1))
            #expect(try await shop.claim(coupon, by: users[0]) == .won(2))
            #expect(try await shop.claim(coupon, by: users[1]) == .refused(.couponSoldOut))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a gate whose campaign the store does not have refuses nobody in its name")
    func foreignGate() async throws {
        try await withShop { shop in
            let user = try await shop.makeUsers(1)[0]
            _ = try shop.server.cli(
                "HSET", RedisKeys.coupon(CouponID(7)), "state", "open", "quantity", "0", "remaining", "0", "sequence", "0", "opensAt", "0",
                "closesAt", "0", "epoch", "1")
            #expect(try await shop.claim(CouponID(7), by: user) == .refused(.couponNotFound))
        }
    }

    @Test("a thousand people at a gate that went back to sold out: what was raised goes to the first of them, and to nobody twice")
    func crowd() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(1_020)
            let coupon = try await shop.makeCampaign(quantity: 20)
            _ = try await shop.claimTogether(coupon, by: Array(users[..<20]))
            _ = try shop.server.cli("SAVE")
            _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: 120)).value
            try await shop.crash()
            let answers = try await shop.claimTogether(coupon, by: Array(users[20...]))
            #expect(answers.values.compactMap { if case .won(let place) = $0 { place } else { nil } }.sorted() == Array(21...Int64(120)))
            #expect(answers.values.count { $0 == .refused(.couponSoldOut) } == 900)
            try await shop.expectAgreement(on: coupon)
        }
    }
}
