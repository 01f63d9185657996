import Commerce
import Testing

@testable import Store

@Suite(.everyEngine) struct WatchedSalesTests: StoreSuite {
    private func makeCampaign(_ name: String, opens: Int64, closes: Int64? = nil, quantity: Int64 = 2) async throws -> Campaign {
        let terms = CampaignTerms(
            name: name, discount: .fixed(amount: Won(1)), quantity: quantity, opensAt: after(opens), closesAt: closes.map(after),
            validForSeconds: 3_600, minOrderAmount: .zero, restoreOnRefund: false)
        return try await store.createCampaign(terms, in: .at(noon)).value
    }

    private func names(_ sales: WatchedSales) -> [String] { sales.campaigns.map(\.terms.name) }

    @Test("open campaigns come first, then scheduled ones by their opening, then those that ended last; archived ones are in it too")
    func order() async throws {
        let users = try await store.makeUsers(2)
        let archived = try await makeCampaign("archived", opens: 0, closes: 1)
        _ = try await store.beginArchiving(
            [ArchivalCandidate(id: archived.id, epoch: 0, gateEpoch: 0)], endedBefore: after(20), at: after(100))
        try await store.finishArchiving([ArchivedGate(id: archived.id, epoch: 1)])
        _ = try await makeCampaign("ended early", opens: 10, closes: 20)
        let soldOut = try await makeCampaign("sold out", opens: 500)
        for (index, user) in users.enumerated() { _ = try await store.issue(soldOut, to: user, sequence: Int64(index + 1), at: after(500)) }
        _ = try await makeCampaign("ended late", opens: 10, closes: 900)
        _ = try await makeCampaign("later", opens: 3_000)
        _ = try await makeCampaign("soon", opens: 2_000, closes: 2_500)
        _ = try await makeCampaign("open", opens: 100)
        _ = try await makeCampaign("opened last", opens: 600, closes: 1_001)
        let sales = try await store.watchedSales(of: [], at: after(1_000))
        #expect(names(sales) == ["opened last", "open", "soon", "later", "ended late", "sold out", "ended early", "archived"])
        #expect(sales.others.isEmpty && sales.winners == [sales.campaigns[0].id: []])
        // A campaign ends at the instant at which it closes, and is open at the one at which it opens.
        #expect(names(try await store.watchedSales(of: [], at: after(1_001))).first == "open")
        #expect(names(try await store.watchedSales(of: [], at: after(2_000))).first == "soon")
    }

    @Test("the latest ten winners of what is watched are read, the latest first, also of a campaign that is not among the twenty")
    func winners() async throws {
        let users = try await store.makeUsers(12)
        let watched = try await makeCampaign("watched", opens: 0, closes: 10, quantity: 12)
        for (index, user) in users.enumerated() {
            _ = try await store.issue(watched, to: user, sequence: Int64(index + 1), at: after(Int64(index)))
        }
        let others = try await (0..<25).asyncMap { try await self.makeCampaign("\($0)", opens: 20 + Int64($0)) }
        _ = try await store.issue(others[24], to: users[0], at: after(45))
        let missing = CouponID(9_999)
        let sales = try await store.watchedSales(of: [watched.id, others[3].id, missing], at: after(100))
        #expect(sales.campaigns.count == 20 && sales.campaigns.first?.id == others[24].id)
        #expect(Set(sales.others.keys) == [watched.id, others[3].id] && sales.others[watched.id]?.issued == 12)
        let expected = (3...12).reversed().map {
            WatchedSales.Winner(sequence: Int64($0), userID: users[$0 - 1], issuedAt: after(Int64($0 - 1)))
        }
        #expect(sales.winners[watched.id] == expected)
        #expect(sales.winners[others[3].id] == [] && sales.winners[missing] == nil)
        #expect(sales.winners[others[24].id]?.map(\.userID) == [users[0]])
    }

    @Test("a store without campaigns has nothing to watch")
    func empty() async throws {
        #expect(try await store.watchedSales(of: [CouponID(1)], at: noon) == WatchedSales(campaigns: [], winners: [:]))
    }
}

extension Range<Int> {
    fileprivate func asyncMap<Value>(_ body: (Int) async throws -> Value) async throws -> [Value] {
        var values: [Value] = []
        for index in self { values.append(try await body(index)) }
        return values
    }
}
