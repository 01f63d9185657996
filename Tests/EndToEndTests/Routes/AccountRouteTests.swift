import JSON
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Users and balances answer as the API document says", .sharedService, .everyEngine)
    struct AccountRouteTests {}
}

extension EndToEnd.AccountRouteTests {
    private static let user = "{userId: int, name: string, createdAt: instant}"

    @Test("a user is made by an admin, found at its Location by itself and by an admin, and ids count up")
    func users() async throws {
        let service = try service
        let made = try await service.admin.post("/users", #"{"name": "김하늘"}"#).expect(201)
        #expect(try made.json().shape == Self.user)
        #expect(try made.string("name") == "김하늘")
        #expect(made[header: "content-type"] == "application/json")
        let id = try made.int("userId")
        #expect(made[header: "location"] == "/api/v1/users/\(id)")
        for caller in [try await service.caller(user: id), service.admin] {
            #expect(try await caller.get("/users/\(id)").expect(200).text == made.text)
        }
        let next = try await service.admin.post("/users", #"{"name": "이바다"}"#).expect(201).int("userId")
        #expect(next > id)
    }

    @Test("a balance is 0 and was never updated before the first charge; a charge answers the balance after it")
    func balance() async throws {
        let user = try await service.newUser()
        let before = try await user.get("/users/\(user.id)/balance").expect(200)
        #expect(try before.json().shape == "{userId: int, balance: int, updatedAt: null}")
        #expect(try before.int("balance") == 0)

        let charge = try await user.charge(5_000)
        #expect(try charge.json().shape == "{chargeId: int, userId: int, amount: int, balance: int, chargedAt: instant}")
        #expect(try charge.int("amount") == 5_000 && charge.int("balance") == 5_000)
        #expect(try await service.admin.post("/users/\(user.id)/balance/charges", #"{"amount": 1000}"#).expect(201).int("balance") == 6_000)

        let after = try await user.get("/users/\(user.id)/balance").expect(200)
        #expect(try after.json().shape == "{userId: int, balance: int, updatedAt: instant}")
        #expect(try after.int("balance") == 6_000)
        #expect(after[header: "cache-control"] == "no-store")
    }

    @Test("the least and the greatest charge pass, and the limit can be reached exactly")
    func chargeBounds() async throws {
        let user = try await service.newUser(balance: 9_000_000)
        try await user.charge(1_000)
        try await user.charge(999_000)
        #expect(try await user.balance == 10_000_000)
        let beyond = try await user.post("/users/\(user.id)/balance/charges", #"{"amount": 1000}"#).expect(400)
        #expect(beyond.code == "BALANCE_LIMIT_EXCEEDED")
        #expect(try await user.balance == 10_000_000)
    }

    @Test("the history shows every movement, newest first, signed, with the balance after it and the order it is of")
    func history() async throws {
        let (user, admin) = (try await service.newUser(balance: 50_000), try service.admin)
        let product = try await admin.makeProduct(price: 20_000)
        let paid = try await user.checkout(product).expect(201)
        _ = try await admin.refund(paid.int("payment", "paymentId")).expect(201)

        let page = try await user.get("/users/\(user.id)/balance/history").expect(200)
        let entries = try page.items()
        #expect(entries.map { $0["kind"]?.string } == ["REFUND", "PAYMENT", "CHARGE"])
        #expect(entries.map { $0["amount"]?.int } == [20_000, -20_000, 50_000])
        #expect(entries.map { $0["balanceAfter"]?.int } == [50_000, 30_000, 50_000])
        let order = try paid.int("order", "orderId")
        #expect(entries.map { $0["orderId"]?.int } == [order, order, nil])
        #expect(entries[0].shape == "{entryId: int, kind: REFUND, amount: int, balanceAfter: int, orderId: int, at: instant}")
        #expect(try page.value("nextCursor") == .null)
    }

    @Test("a list comes in pages that follow one another without a gap or a repetition", arguments: [1, 2, 3, 100])
    func pages(limit: Int) async throws {
        let user = try await service.newUser()
        for amount in 1...7 { try await user.charge(Int64(amount) * 1_000) }
        var (amounts, cursor): ([Int64], String?) = ([], nil)
        repeat {
            let query = "?limit=\(limit)" + (cursor.map { "&cursor=\($0)" } ?? "")
            let page = try await user.get("/users/\(user.id)/balance/history\(query)").expect(200)
            let items = try page.items()
            #expect(items.count <= limit)
            amounts += items.compactMap { $0["amount"]?.int }
            cursor = try page.value("nextCursor").string
        } while cursor != nil
        #expect(amounts == [7_000, 6_000, 5_000, 4_000, 3_000, 2_000, 1_000])
    }
}
