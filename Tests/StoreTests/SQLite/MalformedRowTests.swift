import Commerce
import TestSupport
import Testing

@testable import Store

@Suite("Rows that no version of this program writes", .temporaryStore)
struct MalformedRowTests: StoreSuite {
    @Test("a write that needs one fails alone, and the rest of its group commits")
    func group() async throws {
        let gated = try GatedWriter()
        let arrivals = Arrivals()
        try await gated.shut()
        gated.writer.submit(context: nil, GatedWriter.insert(1), completion: arrivals.add)
        gated.writer.submit(context: nil, { _ in throw StoreError(.malformedRow, "row 7 has no valid state") }, completion: arrivals.add)
        gated.writer.submit(context: nil, GatedWriter.insert(3), completion: arrivals.add)
        gated.open()
        _ = try await arrivals.wait(for: 3)
        #expect(arrivals.values == [1, 3] && arrivals.codes == [.malformedRow])
        #expect(try gated.values() == [1, 3])
        #expect(gated.writer.statistics.commitFailures == 0)
    }

    @Test("an order that cannot be read fails its own requests, and other writes go on")
    func order() async throws {
        let user = try await store.makeUsers(1, balance: 100_000)[0]
        let tea = try await store.makeProduct()
        let (bad, good) = (try await store.order(user, [(tea, 1)]), try await store.order(user, [(tea, 1)]))
        try home.tamper("UPDATE orders SET status = 9 WHERE id = \(bad.id)")
        let error = await #expect(throws: StoreError.self) { try await store.cancelOrder(bad.id, by: user, in: .at(noon)) }
        #expect(error?.code == .malformedRow)
        #expect(try await store.cancelOrder(good.id, by: user, in: .at(noon)).value.storedStatus == .cancelled)
        #expect(store.statistics.commitFailures == 0)
    }

    @Test("of the claims of one call only that of the user with the malformed coupon fails")
    func claims() async throws {
        let users = try await store.makeUsers(3)
        let campaign = try await store.makeCampaign(quantity: 10)
        _ = try await store.issue(campaign, to: users[0], sequence: 1)
        try home.tamper("UPDATE issued_coupons SET code = 'no code'")
        let claims = users.enumerated().map { index, user in
            ClaimWrite(Claim(couponID: campaign.id, userID: user, sequence: Int64(index + 1), epoch: 0, issuedAt: noon))
        }
        let context = CountingContext()
        let result = await withUnsafeContinuation { continuation in
            store.recordClaims(claims, of: campaign.id, context: context) { continuation.resume(returning: $0) }
        }
        let records = try result.get()
        #expect(records[0] == .done(.malformed))
        for record in records[1...] {
            guard case .done(.issued) = record else {
                Issue.record("\(record)")
                continue
            }
        }
        #expect(try await store.claims(of: campaign.id, limit: 9).count == 3)
    }

    @Test("a pending order whose amounts are impossible keeps no other from expiring")
    func expiry() async throws {
        let user = try await store.makeUsers(1)[0]
        let tea = try await store.makeProduct(stock: 10)
        let bad = try await store.order(user, [(tea, 2)])
        _ = try await store.order(user, [(tea, 3)])
        try home.tamper("UPDATE order_lines SET unit_price = \(Int64.max) WHERE order_id = \(bad.id)")
        let later = Instant(milliseconds: noon.milliseconds + 3_600_000)
        #expect(try await store.expireOrders(at: later) == 1)
        #expect(try await store.expireOrders(at: later) == 0)
        #expect(try store.makePointReader().product(tea)?.available == 8)
    }

    @Test("an instant and a day beyond the calendar can be read and written out", arguments: [Int64.min, -1, Int64.max])
    func beyondTheCalendar(value: Int64) async throws {
        let user = try await store.makeUsers(1)[0]
        let order = try await store.order(user, [(try await store.makeProduct(), 1)])
        try home.tamper("UPDATE orders SET created_at = \(value), day = \(value); UPDATE users SET created_at = \(value)")
        let reader = try store.makePointReader()
        let read = try #require(try reader.order(order.id))
        #expect(read.createdAt.description.count == 24 && read.number.description.count == 15)
        #expect(try reader.user(user)?.createdAt == read.createdAt)
    }
}
