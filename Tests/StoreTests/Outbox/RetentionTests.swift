import Commerce
import Foundation
import Testing

@testable import Store

@Suite("What may be forgotten", .temporaryStore)
struct RetentionTests: StoreSuite {
    /// A sale for each instant, in milliseconds after noon; the second one is refunded in part right after it.
    private func sell(at instants: [Int64]) async throws {
        let user = try await store.makeUsers(1, balance: 1_000_000)[0]
        let tea = try await store.makeProduct(price: 1_000, stock: 1_000)
        for (index, instant) in instants.enumerated() {
            let sale = try await store.checkout(userID: user, items: wishes([(tea, 2)]), issuedCouponID: nil, in: .at(after(instant))).value
            if index == 1 {
                _ = try await store.refund(paymentID: sale.payment.id, items: wishes([(tea, 1)]), in: .at(after(instant))).value
            }
        }
    }

    private var eventIDs: [Int64] {
        get async throws { try await store.events(after: nil, limit: 1_000).map(\.id.rawValue) }
    }

    private func expectSound() async throws {
        #expect(try await home.audit().filter { !$0.holds } == [])
    }

    @Test("old delivered events go, the oldest first and in steps; the audit holds after each, and ids count on")
    func steps() async throws {
        try await sell(at: [0, 10, 20, 30, 40])
        try await store.markDelivered((1...6).map { EventID($0) })
        #expect(try await store.pruneEvents(before: after(25), limit: 3) == 3)
        #expect(try await eventIDs == [4, 5, 6])
        try await expectSound()
        #expect(try await store.pruneEvents(before: after(25), limit: 3) == 1)
        #expect(try await eventIDs == [5, 6])
        try await expectSound()
        #expect(try await store.pruneEvents(before: after(25), limit: 3) == 0)
        try await sell(at: [50])
        #expect(try await eventIDs == [5, 6, 7])
        try await expectSound()
    }

    @Test("the newest event stays, so that no id is given twice")
    func newest() async throws {
        try await sell(at: [0, 10])
        try await store.markDelivered((1...3).map { EventID($0) })
        #expect(try await store.pruneEvents(before: after(1_000)) == 2)
        #expect(try await store.pruneEvents(before: after(1_000)) == 0)
        #expect(try await eventIDs == [3])
        try await sell(at: [20])
        #expect(try await eventIDs == [3, 4])
        try await expectSound()
    }

    @Test("an event that waits or is parked stays, and those after it")
    func undelivered() async throws {
        try await sell(at: [0, 10, 20, 30])
        try await store.markDelivered([1, 4, 5].map { EventID($0) })
        #expect(try await store.park(EventID(3), error: "refused"))
        #expect(try await store.pruneEvents(before: after(1_000)) == 1)
        #expect(try await eventIDs == [2, 3, 4, 5])
        try await store.markDelivered([EventID(2)])
        #expect(try await store.pruneEvents(before: after(1_000)) == 1)
        #expect(try await store.markDelivered(EventID(3)))
        #expect(try await store.pruneEvents(before: after(1_000)) == 2)
        #expect(try await eventIDs == [5])
        try await expectSound()
    }

    @Test("a refund of a sale whose event is gone is told and counted as any other")
    func lateRefund() async throws {
        try await sell(at: [0, 10, 20])
        try await store.markDelivered((1...4).map { EventID($0) })
        #expect(try await store.pruneEvents(before: after(1_000)) == 3)
        for payment in [1, 2] as [Int64] { _ = try await store.refund(paymentID: PaymentID(payment), items: nil, in: .at(after(60))).value }
        #expect(try await eventIDs == [4, 5, 6])
        try await expectSound()
    }

    @Test(
        "what is missing beyond what was removed is found",
        arguments: [
            "DELETE FROM event_units WHERE event_id = 4; DELETE FROM events WHERE id = 4",
            "DELETE FROM event_units WHERE event_id = 5; DELETE FROM events WHERE id = 5",
            "UPDATE pruned_events SET payments = payments - 1", "UPDATE pruned_events SET payments = payments + 1",
            "UPDATE pruned_events SET refunds = refunds - 1", "UPDATE pruned_events SET through = through - 1",
        ])
    func damage(sql: String) async throws {
        try await sell(at: [0, 10, 20, 30])
        try await store.markDelivered((1...5).map { EventID($0) })
        #expect(try await store.pruneEvents(before: after(15)) == 3)
        try await expectSound()
        try home.tamper(sql)
        #expect(try await home.audit().contains { !$0.holds })
    }

    @Test("a store whose old events are gone is smaller once it is compacted, and holds the same rows")
    func compaction() async throws {
        try await sell(at: Array(0..<500))
        try await store.markDelivered((1...501).map { EventID($0) })
        while try await store.pruneEvents(before: after(1_000)) > 0 {}
        store.close()
        let rows = try home.dump()
        let sizes = try StoreCompaction.run(home.path, options: try TemporaryStore.defaultOptions())
        #expect(sizes.after < sizes.before)
        #expect(try home.dump() == rows)
        let again = try TemporaryStore.open(home.folder)
        defer { again.close() }
        #expect(try await again.audit().filter { !$0.holds } == [])
    }
}
