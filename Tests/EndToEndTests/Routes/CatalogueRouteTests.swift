import JSON
import NIOCore
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Products and coupon campaigns answer as the API document says", .sharedService, .everyEngine)
    struct CatalogueRouteTests {}
}

extension EndToEnd.CatalogueRouteTests {
    private static let product = "{productId: int, name: string, price: int, stock: int, createdAt: instant}"
    private static let fixed = "{type: FIXED, amount: int}"
    private static func campaign(discount: String, opensAt: String = "instant", closesAt: String, status: String) -> String {
        "{couponId: int, name: string, discount: \(discount), quantity: int, remaining: int, opensAt: \(opensAt), closesAt: \(closesAt), "
            + "status: \(status), validFor: int, minOrderAmount: int, restoreOnRefund: bool, createdAt: instant, chain: {sequence: int, hash: null}}"
    }

    @Test("a product is made, read by everybody, and changed in each of its fields")
    func products() async throws {
        let (admin, guest) = (try service.admin, try service.guest)
        let made = try await admin.post("/products", #"{"name": "제주 감귤", "price": 19900, "stock": 5}"#).expect(201)
        #expect(try made.json().shape == Self.product)
        let id = try made.int("productId")
        #expect(made[header: "location"] == "/api/v1/products/\(id)")
        #expect(try await guest.get("/products/\(id)").expect(200).text == made.text)

        #expect(try await admin.patch("/products/\(id)", #"{"price": 18900}"#).expect(200).int("price") == 18_900)
        #expect(try await admin.patch("/products/\(id)", #"{"name": "한라봉", "stock": 7}"#).expect(200).string("name") == "한라봉")
        let read = try await guest.get("/products/\(id)").expect(200)
        #expect(try read.json().shape == Self.product)
        #expect(try read.int("price") == 18_900 && read.int("stock") == 7)
    }

    @Test("the stock that is shown is what can still be ordered, the moment an order holds or frees it")
    func liveStock() async throws {
        let admin = try service.admin
        let product = try await admin.makeProduct(price: 1_000, stock: 10)
        let user = try await service.newUser(balance: 10_000)
        let order = try await user.order(product, 4).expect(201).int("orderId")
        #expect(try await admin.stock(of: product) == 6)
        _ = try await user.cancel(order).expect(200)
        #expect(try await admin.stock(of: product) == 10)
        _ = try await user.checkout(product, 3).expect(201)
        #expect(try await admin.stock(of: product) == 7)
    }

    @Test("the list filters by name, price and stock, and sorts by price and age")
    func productList() async throws {
        let (admin, guest) = (try service.admin, try service.guest)
        var ids: [Int64] = []
        for (price, stock) in [(3_000, 1), (1_000, 0), (2_000, 5), (2_000, 9)] {
            ids.append(try await admin.makeProduct(price: Int64(price), stock: Int64(stock), name: "Filter Mat \(ids.count)"))
        }
        func list(_ query: String) async throws -> [Int] {
            let items = try await guest.get("/products?q=fILTER%20mat\(query)").expect(200).items()
            return items.compactMap { item in item["productId"]?.int.flatMap(ids.firstIndex) }
        }
        #expect(try await list("") == [3, 2, 1, 0])
        #expect(try await list("&sort=newest") == [3, 2, 1, 0])
        #expect(try await list("&sort=price") == [1, 2, 3, 0])
        #expect(try await list("&sort=-price") == [0, 3, 2, 1])
        #expect(try await list("&inStock=true&sort=price") == [2, 3, 0])
        #expect(try await list("&minPrice=2000&maxPrice=2000") == [3, 2])
        #expect(try await list("&minPrice=3001") == [])
        let page = try await guest.get("/products?q=Filter%20Mat&sort=price&limit=2").expect(200)
        let cursor = try page.string("nextCursor")
        let next = try await guest.get("/products?q=Filter%20Mat&sort=price&limit=2&cursor=\(cursor)").expect(200)
        #expect(try (page.items() + next.items()).compactMap { $0["productId"]?.int } == [1, 2, 3, 0].map { ids[$0] })
        #expect(try page.json().shape == "{items: [\(Self.product)], nextCursor: string}")
    }

    @Test("the top list shows its window, its age, and at most five places with rank, price, stock and units")
    func top() async throws {
        let (admin, guest) = (try service.admin, try service.guest)
        let product = try await admin.makeProduct(price: 1_000)
        _ = try await service.newUser(balance: 10_000).checkout(product, 7).expect(201)
        try await eventually("the sale is ranked") {
            try await guest.get("/products/top").items().contains { $0["productId"]?.int == product }
        }
        let top = try await guest.get("/products/top").expect(200)
        #expect(
            try top.json().shape == "{window: {from: day, to: day, timeZone: string}, asOf: instant, "
                + "items: [{rank: int, productId: int, name: string, price: int, stock: int, unitsSold: int}]}")
        let items = try top.items()
        #expect(items.count <= 5 && items.map { $0["rank"]?.int } == (1...Int64(items.count)).map { $0 })
        let place = try #require(items.first { $0["productId"]?.int == product })
        #expect(place["unitsSold"]?.int == 7 && place["stock"]?.int == 93)
        #expect(try top.string("window", "timeZone") == "Asia/Seoul")
    }

    @Test("a campaign is made with its defaults, read by everybody, listed, and changed")
    func campaigns() async throws {
        let (admin, guest) = (try service.admin, try service.guest)
        let made = try await admin.post("/coupons", #"{"name": "열 장", "discount": {"type": "FIXED", "amount": 500}, "quantity": 10}"#)
            .expect(201)
        #expect(try made.json().shape == Self.campaign(discount: Self.fixed, closesAt: "null", status: "OPEN"))
        #expect(try made.int("remaining") == 10 && made.int("validFor") == 30 * 86_400 && made.int("minOrderAmount") == 0)
        #expect(try made.value("restoreOnRefund") == .bool(false))
        let id = try made.int("couponId")
        #expect(made[header: "location"] == "/api/v1/coupons/\(id)")
        #expect(try await guest.get("/coupons/\(id)").expect(200).text == made.text)
        #expect(try await guest.get("/coupons?limit=100").expect(200).items().contains { $0["couponId"]?.int == id })

        let changed = try await admin.patch("/coupons/\(id)", #"{"quantity": 12, "closesAt": "2099-01-01T09:00:00+09:00"}"#).expect(200)
        #expect(try changed.json().shape == Self.campaign(discount: Self.fixed, closesAt: "instant", status: "OPEN"))
        #expect(try changed.int("quantity") == 12 && changed.string("closesAt") == "2099-01-01T00:00:00.000Z")
    }

    @Test("every term of a campaign is kept, and its status follows its window and what is left")
    func campaignTerms() async throws {
        let (admin, guest) = (try service.admin, try service.guest)
        let terms = """
            , "opensAt": "2098-01-01T00:00:00Z", "closesAt": "2098-01-02T00:00:00.5Z", "validFor": 60, "minOrderAmount": 7000, "restoreOnRefund": true
            """
        let id = try await admin.makeCoupon(discount: #"{"type": "PERCENT", "percent": 15, "maxAmount": 3000}"#, terms)
        let read = try await guest.get("/coupons/\(id)").expect(200)
        #expect(
            try read.json().shape
                == Self.campaign(discount: "{type: PERCENT, percent: int, maxAmount: int}", closesAt: "instant", status: "SCHEDULED"))
        #expect(try read.string("opensAt") == "2098-01-01T00:00:00.000Z" && read.string("closesAt") == "2098-01-02T00:00:00.500Z")
        #expect(try read.int("validFor") == 60 && read.int("minOrderAmount") == 7_000 && read.int("discount", "maxAmount") == 3_000)
        #expect(try read.value("restoreOnRefund") == .bool(true))

        let past = try await admin.makeCoupon(#", "opensAt": "2020-01-01T00:00:00Z", "closesAt": "2020-01-02T00:00:00Z""#)
        #expect(try await guest.get("/coupons/\(past)").string("status") == "CLOSED")
        let single = try await admin.makeCoupon(quantity: 1)
        _ = try await service.newUser().claim(single).expect(201)
        let empty = try await guest.get("/coupons/\(single)").expect(200)
        #expect(try empty.string("status") == "SOLD_OUT" && empty.int("remaining") == 0)
    }

    @Test("HEAD answers as GET does, without a body and without counting a view; a GET counts one")
    func head() async throws {
        let (live, guest) = (try service, try service.guest)
        let product = try await live.admin.makeProduct()
        let get = try await guest.get("/products/\(product)").expect(200)
        for _ in 0..<3 {
            let head = try await guest.call("HEAD", "/products/\(product)").expect(200)
            #expect(head.body.readableBytes == 0 && head[header: "content-length"] == get[header: "content-length"])
        }
        let other = try await live.admin.makeProduct()
        _ = try await guest.get("/products/\(other)").expect(200)
        let today = try await guest.get("/products/top").expect(200).string("window", "to")
        func views(of product: Int64) async throws -> Int64? {
            try await live.sortedSet("ranking:{sales}:views:\(today)").first { $0.member == String(product) }?.score
        }
        // Views go to Redis in the order in which they were counted: once the later one is there, the earlier ones are.
        try await eventually("the later view is counted") { try await views(of: other) == 1 }
        #expect(try await views(of: product) == 1)
    }
}

extension Caller {
    fileprivate func makeCoupon(_ terms: String) async throws -> Int64 { try await makeCoupon(quantity: 100, terms) }
}
