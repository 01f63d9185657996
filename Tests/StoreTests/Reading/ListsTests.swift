import Commerce
import Store
import Testing

@Suite(.everyEngine) struct ListsTests: StoreSuite {
    /// Walks all pages and makes one more item after each.
    private func walk<Item>(
        limit: Int, _ page: (PageRequest) async throws -> Page<Item>, meanwhile: () async throws -> Void
    ) async throws -> [Item] {
        var items: [Item] = []
        var cursor: String?
        repeat {
            let next = try await page(PageRequest(limit: limit, cursor: cursor))
            #expect(next.items.count <= limit)
            items += next.items
            cursor = next.nextCursor
            try await meanwhile()
        } while cursor != nil
        return items
    }

    @Test(
        "every product is listed once, in each order, also while others are made", arguments: ProductFilter.Sort.allCases, [1, 3, 7, 100])
    func products(sort: ProductFilter.Sort, limit: Int) async throws {
        var made: Set<ProductID> = []
        for index in 0..<21 { made.insert(try await store.makeProduct(price: [5, 5, 5, 9, 1][index % 5])) }
        var others = 0
        let listed = try await walk(limit: limit) {
            try await store.products(ProductFilter(sort: sort), page: $0)
        } meanwhile: {
            // A bounded number: in the order of prices each one is still ahead, and the walk would never end.
            others += 1
            if others <= 10 { _ = try await store.makeProduct(price: 5) }
        }
        let ids = listed.map(\.id)
        #expect(Set(ids).count == ids.count, "an item came twice")
        #expect(made.isSubset(of: ids), "an item was left out")
        switch sort {
        case .newest: #expect(ids == ids.sorted(by: >))
        case .priceAscending: #expect(listed.map(\.price) == listed.map(\.price).sorted())
        case .priceDescending: #expect(listed.map(\.price) == listed.map(\.price).sorted(by: >))
        }
    }

    @Test("every list of a user goes newest first, without gap or double, and shows nobody else's", arguments: [1, 2, 5, 100])
    func lists(limit: Int) async throws {
        let users = try await store.makeUsers(2, balance: 1_000_000)
        let tea = try await store.makeProduct(price: 10, stock: 1_000)
        for index in 0..<5 {
            for user in users {
                let coupon = try await store.issue(store.makeCampaign(.fixed(amount: Won(1))), to: user)
                _ = try await store.checkout(
                    userID: user, items: wishes([(tea, Int64(index + 1))]), issuedCouponID: coupon.id, in: .at(noon)
                ).value
            }
        }
        let nothing: () async throws -> Void = {}
        let orders = try await walk(limit: limit, { try await store.orders(of: users[0], page: $0) }, meanwhile: nothing)
        #expect(orders.map { $0.lines[0].quantity } == [5, 4, 3, 2, 1] && orders.allSatisfy { $0.userID == users[0] })
        let history = try await walk(limit: limit, { try await store.balanceHistory(of: users[0], page: $0) }, meanwhile: nothing)
        #expect(history.map(\.amount.rawValue) == [-49, -39, -29, -19, -9, 1_000_000])
        let coupons = try await walk(
            limit: limit, { try await store.issuedCoupons(of: users[0], status: nil, at: noon, page: $0) }, meanwhile: nothing)
        #expect(coupons.count == 5 && coupons.map(\.coupon.id) == coupons.map(\.coupon.id).sorted(by: >))
        #expect(coupons.allSatisfy { $0.coupon.userID == users[0] })
        let campaigns = try await walk(limit: limit, { try await store.campaigns(page: $0) }, meanwhile: nothing)
        #expect(campaigns.map(\.id.rawValue) == Array((1...10).reversed()))
        let events = try await walk(limit: limit, { try await store.events(state: .waiting, page: $0) }, meanwhile: nothing)
        #expect(events.map(\.event.id.rawValue) == Array((1...10).reversed()))
    }

    @Test("coupons are listed by the state they are in now")
    func couponStates() async throws {
        let user = try await store.makeUsers(1, balance: 1_000_000)[0]
        let tea = try await store.makeProduct(price: 10_000, stock: 10)
        var coupons: [IssuedCoupon] = []
        for _ in 0..<3 { coupons.append(try await store.issue(store.makeCampaign(), to: user)) }
        let short = try await store.issue(store.makeCampaign(validForSeconds: 1), to: user)
        _ = try await store.order(user, [(tea, 1)], coupon: coupons[0].id)
        _ = try await store.checkout(userID: user, items: wishes([(tea, 1)]), issuedCouponID: coupons[1].id, in: .at(noon)).value
        func ids(_ status: IssuedCoupon.Status?, at now: Instant) async throws -> [IssuedCouponID] {
            try await store.issuedCoupons(of: user, status: status, at: now, page: PageRequest()).items.map(\.coupon.id)
        }
        #expect(try await ids(.held, at: noon) == [coupons[0].id])
        #expect(try await ids(.used, at: noon) == [coupons[1].id])
        #expect(try await ids(.issued, at: after(999)) == [short.id, coupons[2].id])
        #expect(try await ids(.issued, at: after(1_000)) == [coupons[2].id])
        #expect(try await ids(.expired, at: after(1_000)) == [short.id])
        #expect(try await ids(nil, at: noon).count == 4)
    }

    @Test(
        "a cursor that the list did not give out is an error of its own",
        arguments: [
            "", "x", "!!!!", "cHJvZHVjdHM", "MQ==", "b3JkZXJzLjE", "Y2FtcGFpZ25zLjEuMg", "Y2FtcGFpZ25zLng", "_____w",
            String(repeating: "A", count: 5_000), "c000000000000000", "c00000000000000001", "C0000000000000001", "c000000000000000A",
            "c+000000000000001", "c-000000000000001", "c8000000000000000", "cffffffffffffffff", "o0000000000000001", "c000000000000000é",
            "c0000000000000001 ", "c00000000000000010000000000000001",
        ])
    func badCursors(cursor: String) async throws {
        _ = try await store.makeCampaign()
        let error = await #expect(throws: StoreError.self) {
            try await store.campaigns(page: PageRequest(limit: 1, cursor: cursor))
        }
        #expect(error?.code == .invalidCursor)
    }

    @Test("a cursor of one order of a list is none of another")
    func cursorOfAnotherOrder() async throws {
        for _ in 0..<3 { _ = try await store.makeProduct() }
        let page = try await store.products(ProductFilter(sort: .newest), page: PageRequest(limit: 1))
        let error = await #expect(throws: StoreError.self) {
            try await store.products(ProductFilter(sort: .priceDescending), page: PageRequest(limit: 1, cursor: page.nextCursor))
        }
        #expect(error?.code == .invalidCursor)
    }

    @Test("lists past the bound of the read queue are refused at once, not queued")
    func overload() async throws {
        let home = try TemporaryStore { $0.browseReads.maximumReads = 0 }
        let error = await #expect(throws: StoreError.self) { try await home.store.campaigns(page: PageRequest()) }
        #expect(error?.code == .overloaded)
    }
}
