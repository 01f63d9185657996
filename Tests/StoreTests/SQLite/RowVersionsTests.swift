import Commerce
import GRDB
import TestSupport
import Testing

@testable import Store

@Suite("Versions of rows that are cached in memory")
struct RowVersionsTests {
    /// Which of user 1, product 1 and coupon 1 changed, and that they did by the time the change was answered.
    private func changed(_ home: TemporaryStore, _ change: (TransactionalStore) async throws -> Void) async throws -> [Bool] {
        let changes = home.store.rowVersions
        let before = [RowVersions.Table.users, .products, .issuedCoupons].map { ($0, changes.version(of: 1, in: $0)) }
        try await change(home.store)
        return before.map { changes.version(of: 1, in: $0) != $1 }
    }

    @Test("whatever changes balance, product or coupon is counted when it is answered, and nothing else is")
    func counted() async throws {
        let home = try TemporaryStore()
        let store = home.store
        let users = try await store.makeUsers(2, balance: 100_000)
        let tea = try await store.makeProduct()
        let coupon = try await store.makeCampaign(quantity: 10)
        #expect(try await changed(home) { _ = try await $0.createUser(name: "new", in: .at(noon)) } == [false, false, false])
        #expect(
            try await changed(home) { _ = try await $0.charge(userID: users[0], amount: Won(1_000), in: .at(noon)) } == [
                true, false, false,
            ])
        #expect(
            try await changed(home) { _ = try await $0.charge(userID: users[1], amount: Won(1_000), in: .at(noon)) } == [
                false, false, false,
            ])
        let issued = try await store.issue(coupon, to: users[0], sequence: 1)
        var order: Order?
        #expect(
            try await changed(home) { store in
                order = try await store.placeOrder(
                    userID: users[0], items: wishes([(tea, 1)]), issuedCouponID: issued.id, in: .at(noon)
                ).value
            } == [false, true, true])
        let orderID = try #require(order?.id)
        #expect(
            try await changed(home) { _ = try await $0.pay(orderID: orderID, by: users[0], in: .at(noon)).value } == [true, true, true])
        #expect(
            try await changed(home) { _ = try await $0.updateProduct(tea, ProductChange(price: Won(5))) } == [
                false, true, false,
            ])
    }

    @Test("a row that is read while something commits gets no version, so that no old copy is taken for a new one")
    func overtaken() async throws {
        let home = try TemporaryStore()
        let user = try await home.store.makeUsers(1)[0]
        let changes = home.store.rowVersions
        let version = try #require(changes.version(of: user.rawValue, in: .users, readSince: changes.beginReading()))
        #expect(changes.version(of: user.rawValue, in: .users) == version)
        let raced = changes.beginReading()
        try await DatabaseQueue().write { db in
            try db.execute(sql: "CREATE TABLE users (id INTEGER PRIMARY KEY, x); INSERT INTO users VALUES (1, 0)")
            changes.watch(db)
            try db.execute(sql: "UPDATE users SET x = 1")
        }
        changes.transactionEnded()
        #expect(changes.version(of: user.rawValue, in: .users, readSince: raced) == nil)
        #expect(changes.version(of: user.rawValue, in: .users) != version)
    }

    @Test("a campaign's version moves with its terms and its epoch, and not with each coupon that is issued")
    func campaigns() async throws {
        let home = try TemporaryStore()
        let store = home.store
        let user = try await store.makeUsers(1)[0]
        let campaign = try await store.makeCampaign(quantity: 10)
        func version() -> UInt64 { store.rowVersions.version(of: campaign.id.rawValue, in: .campaigns) }
        var last = version()
        _ = try await store.issue(campaign, to: user, sequence: 1)
        #expect(version() == last)
        _ = try await store.updateCampaign(campaign.id, CampaignChange(quantity: 11)).value
        #expect(version() > last)
        last = version()
        _ = try await store.bumpEpoch(of: campaign.id, to: campaign.epoch + 1).value
        #expect(version() > last)
    }
}
