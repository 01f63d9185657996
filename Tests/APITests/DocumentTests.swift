import Commerce
import Foundation
import HTTPServer
import JSON
import NIOCore
import NIOEmbedded
import Store
import Testing

@testable import API
@testable import Services

/// The API document that the service serves.
private func document() throws -> JSONValue {
    try JSONParser.parse(ByteBuffer(bytes: PackageResources.openapi_json), maximumDepth: 64)
}

@Suite("The API document and the route table")
struct DocumentTests {
    private func operation(_ route: Endpoint) throws -> JSONValue {
        try #require(try document()["paths"]?[route.template]?[route.method.rawValue.lowercased()], "\(route.operationID)")
    }

    /// Objects behind a reference, or the object itself.
    private func resolved(_ value: JSONValue) throws -> JSONValue {
        guard case .string(let reference)? = value["$ref"] else { return value }
        return try #require(Schema(document: try document()).resolve(reference), "\(reference)")
    }

    @Test("both have the same routes and methods")
    func sameRoutes() throws {
        let paths = try #require(try document()["paths"]?.object)
        let described = paths.members.flatMap { path in
            (path.value.object?.members ?? []).map { "\($0.name.uppercased()) \(path.name) \($0.value["operationId"]?.text ?? "")" }
        }
        let served = RouteTable.routes.map(\.endpoint).map { "\($0.method.rawValue) \($0.template) \($0.operationID)" }
        #expect(Set(described) == Set(served))
        #expect(Set(served).count == served.count && Set(RouteTable.routes.map(\.endpoint.operationID)).count == served.count)
        #expect(served.count == 43)
    }

    @Test("the document says how long an answer is sent again under its key")
    func lifetime() throws {
        let parameter = try #require(try document()["components"]?["parameters"]?["idempotencyKey"]?["description"]?.text)
        #expect(parameter.hasPrefix("For \(StoredResponse.lifetimeMilliseconds / 3_600_000) hours,"))
    }

    @Test("each route names every refusal it can give, under its status, and no other", arguments: RouteTable.routes.indices)
    func refusals(index: Int) throws {
        let route = RouteTable.routes[index].endpoint
        var described: Set<String> = []
        for response in try #require(try operation(route)["responses"]?.object).members where response.name >= "4" {
            let target = try resolved(response.value)
            let schema = try #require(target["content"]?["application/problem+json"]?["schema"], "\(route.operationID) \(response.name)")
            let codes = try #require(schema["properties"]?["code"]?["enum"]?.elements).compactMap(\.text)
            for text in codes {
                let code = try #require(ProblemCode(rawValue: text))
                #expect(String(code.status) == response.name, "\(route.operationID) \(code)")
                #expect(described.insert(text).inserted, "\(route.operationID) names \(code) twice")
            }
        }
        #expect(described == Set(route.allRefusals.map(\.rawValue)), "\(route.operationID)")
    }

    @Test("each route says who may use it, which key it honours and where what it makes can be read", arguments: RouteTable.routes.indices)
    func rules(index: Int) throws {
        let route = RouteTable.routes[index].endpoint
        let operation = try operation(route)
        let who =
            switch route.rule {
            case .open: "all"
            case .user: "user"
            case .admin: "admin"
            case .selfOrAdmin: "self or admin"
            case .ownerOrAdmin: "owner or admin"
            }
        #expect(operation["x-who"] == .string(who), "\(route.operationID)")
        #expect((operation["security"] == .array([])) == (who == "all"), "\(route.operationID)")
        let parameters = try (operation["parameters"]?.elements ?? []).map(resolved)
        let names = parameters.filter { $0["in"] == .string("path") }.compactMap { $0["name"]?.text }
        let inTemplate = route.template.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
        #expect(names == inTemplate, "\(route.operationID)")
        #expect(parameters.contains { $0["name"] == .string("Idempotency-Key") } == route.acceptsIdempotencyKey, "\(route.operationID)")
        let success = try #require(operation["responses"]?.object?.members.first { $0.name < "3" }?.value)
        #expect((success["headers"]?["Location"] != nil) == (route.location != nil), "\(route.operationID)")
        #expect((success["headers"]?["Idempotent-Replayed"] != nil) == route.acceptsIdempotencyKey, "\(route.operationID)")
    }

    @Test("the document's list of codes is the service's")
    func codes() throws {
        let listed = try document()["components"]?["schemas"]?["Problem"]?["properties"]?["code"]?["enum"]?.elements?.compactMap(\.text)
        #expect(Set(listed ?? []) == Set(ProblemCode.allCases.map(\.rawValue)))
    }

    @Test("every reference leads somewhere, and every schema's example is valid and fully described")
    func examples() throws {
        let checker = Schema(document: try document())
        func visit(_ value: JSONValue) throws {
            if case .string(let reference)? = value["$ref"] { #expect(checker.resolve(reference) != nil, "\(reference)") }
            for member in value.object?.members ?? [] { try visit(member.value) }
            for element in value.elements ?? [] { try visit(element) }
        }
        try visit(try document())
        var count = 0
        for schema in try #require(try document()["components"]?["schemas"]?.object).members {
            for example in schema.value["examples"]?.elements ?? [] {
                #expect(checker.faults(example, schema.value) == [], "\(schema.name)")
                #expect(checker.unnamed(example, schema.value) == [], "\(schema.name)")
                count += 1
            }
        }
        #expect(count > 20)
    }

    @Test("the pattern of names takes what the service takes, and nothing else")
    func names() throws {
        let schema = try #require(try document()["components"]?["schemas"]?["NewUser"]?["properties"]?["name"])
        let pattern = try #require(schema["pattern"]?.text)
        #expect(schema["minLength"] == .integer(1) && schema["maxLength"] == .integer(200))
        // Every character up to the Hiragana (beyond them, nothing is blank or a control character), and some more.
        for value in Array(0...0x3040) + [0xAC00, 0xD7FF, 0xE000, 0xFEFF, 0xFFFE, 0xFFFF, 0x1_F600, 0xE_0001, 0x10_FFFF] as [UInt32] {
            let scalar = try #require(Unicode.Scalar(value))
            for name in [String(scalar), "a\(scalar)", "\(scalar)a"] {
                guard Schema.matches(name, pattern: pattern) != (DisplayName.fault(in: name) == nil) else { continue }
                Issue.record("pattern and service differ on \(name.unicodeScalars.map(\.value))")
            }
        }
    }

    @Test("the examples of bodies are bodies the service takes")
    func bodyExamples() throws {
        func check(_ name: String, _ read: (inout FieldReader) -> (some Any)?) throws {
            let examples = try document()["components"]?["schemas"]?[name]?["examples"]?.elements ?? []
            try #require(!examples.isEmpty, "\(name)")
            for example in examples {
                var json = JSONWriter()
                json.element(example)
                let request = HTTPRequest(
                    method: .post, path: "/", headers: ["Content-Type": "application/json"], body: json.buffer,
                    eventLoop: EmbeddedEventLoop())
                #expect(throws: Never.self, "\(name)") { _ = try JSONBody.decode(request, read) }
            }
        }
        try check("NewUser") { NewUser(&$0) }
        try check("NewCharge") { NewCharge(&$0) }
        try check("NewProduct") { NewProduct(&$0) }
        try check("ProductChange") { ProductChange(&$0) }
        try check("NewCoupon") { CampaignTerms(&$0, now: Samples.now) }
        try check("CouponChange") { CampaignChange(&$0) }
        try check("NewOrder") { NewOrder(&$0) }
        try check("NewPayment") { NewPayment(&$0) }
        try check("NewRefund") { NewRefund(&$0) }
    }
}

@Suite("Answers and the API document")
struct AnswerTests {
    private func check(_ name: String, _ write: (inout JSONWriter) -> Void) throws {
        let checker = Schema(document: try document())
        let schema = try #require(try document()["components"]?["schemas"]?[name])
        let value = try JSONParser.parse(JSONWriter.document(write))
        #expect(checker.faults(value, schema) == [], "\(name)")
        #expect(checker.unnamed(value, schema) == [], "\(name)")
    }

    @Test("every answer has the members its schema describes, and no others")
    func answers() throws {
        try check("User") { $0.write(Samples.user) }
        try check("Balance") { $0.write(Balance(userID: UserID(1), amount: .zero, updatedAt: nil)) }
        try check("Balance") { $0.write(Balance(userID: UserID(1), amount: Won(5), updatedAt: Samples.now)) }
        try check("Charge") { $0.write(Samples.charge) }
        try check("Product") { $0.write(Samples.product) }
        try check("Payment") { $0.write(Samples.payment) }
        try check("Refund") { $0.write(Samples.refund) }
        try check("Checkout") { $0.write(Checkout(order: Samples.order(.paid), payment: Samples.payment), at: Samples.now) }
        for kind in [BalanceEntry.Kind.charge, .payment, .refund] {
            let order = kind == .charge ? nil : OrderID(6)
            try check("BalanceEntry") {
                $0.write(BalanceEntry(id: EntryID(1), kind: kind, amount: Won(-5), balanceAfter: .zero, orderID: order, at: Samples.now))
            }
        }
        for requestID in [nil, "5f2c1a90b3d84e7700000001"] {
            let action = AdminAction("product.update", on: "product:9", details: #"{"price":{"from":2,"to":1}}"#)
            let entry = AdminLogEntry(id: Identifier(1), at: Samples.now, actor: "kim", action: action, requestID: requestID)
            try check("AdminLogEntry") { $0.write(entry) }
        }
        for status in Order.Status.allCases { try check("Order") { $0.write(Samples.order(status), at: Samples.now) } }
    }

    @Test("coupons look as described, in every state and with every discount")
    func coupons() throws {
        var terms = Samples.terms
        terms.discount = .fixed(amount: Won(3000))
        terms.closesAt = nil
        let endless = Campaign(id: CouponID(4), terms: terms, issued: 0, createdAt: Samples.now, epoch: 0)
        for campaign in [Samples.campaign, endless] {
            for now in [Samples.now, Samples.later, Instant(milliseconds: 0)] { try check("Coupon") { $0.write(campaign, at: now) } }
        }
        for discount in [Discount.fixed(amount: Won(1)), .percent(100, maxAmount: nil), .percent(1, maxAmount: Won(1))] {
            for state in [IssuedCoupon.State.issued, .held, .used] {
                let coupon = try Samples.coupon(discount, state: state)
                for now in [Samples.now, Samples.later] { try check("IssuedCoupon") { $0.write(coupon, at: now) } }
                let received = CouponWithReceipt(coupon: coupon, receipt: try Samples.receipt())
                try check("IssuedCoupon") { $0.write(received, at: Samples.now) }
            }
        }
    }

    @Test("the top list looks as described, empty and full")
    func top() throws {
        let days = [20_775, 20_774, 20_773].map(BusinessDay.init)
        let ranked = (1...5).map { RankedProduct(rank: $0, product: Samples.product, unitsSold: Int64(80 - $0)) }
        for items in [[], ranked] {
            let top = TopProducts(window: days, timeZone: "Asia/Seoul", asOf: Samples.now, items: items, version: 1)
            try check("TopProducts") { $0.write(top) }
        }
    }

    @Test("the cursor of each list fits the pattern of its parameter, of its answer, and of no other list")
    func cursors() async throws {
        let paths = try #require(try document()["paths"]?.object?.members)
        let checker = Schema(document: try document())
        var schemas: [String: JSONValue] = [:]
        for (path, operations) in paths {
            let parameter = operations["get"]?["parameters"]?.elements?.first { $0["name"] == .string("cursor") }
            schemas[path] = parameter?["schema"]
        }
        let patterns = schemas
        #expect(patterns.count == 8)
        try await ApplicationFixture.run { app in
            let user = Identity.user(UserID(1))
            _ = try await app.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"a"}"#)
            for _ in 0..<2 {
                _ = try await app.send(.post, "/api/v1/users/1/balance/charges", as: user, #"{"amount":50000}"#)
                _ = try await app.send(.post, "/api/v1/products", as: .anyAdmin, #"{"name":"a","price":1000,"stock":5}"#)
                _ = try await app.send(.post, "/api/v1/checkout", as: user, #"{"items":[{"productId":1,"quantity":1}]}"#)
                let made = try await app.store.createCampaign(Samples.terms, in: .at(Samples.now))
                guard case .done(let campaign) = made else {
                    Issue.record("no campaign: \(made)")
                    return
                }
                let claim = Claim(couponID: campaign.id, userID: UserID(1), sequence: 1, epoch: campaign.epoch, issuedAt: Samples.now)
                _ = try await app.store.recordClaim(claim)
                _ = try await app.send(.post, "/api/v1/coupons/1/grants", as: .anyAdmin, #"{"userIds":[1]}"#)
            }
            for path in patterns.keys {
                for sort in path == "/api/v1/products" ? ["newest", "price", "-price"] : [""] {
                    let filled = path.replacing("{userId}", with: "1").replacing("{couponId}", with: "1")
                    let target = filled + "?limit=1" + (sort.isEmpty ? "" : "&sort=\(sort)")
                    let page = try await app.send(.get, target, as: .anyAdmin)
                    let cursor = try #require(try page.json["nextCursor"])
                    #expect(cursor.text != nil, "\(path) \(sort)")
                    for (other, pattern) in patterns {
                        #expect(
                            checker.faults(cursor, pattern).isEmpty == (other == path), "\(cursor) of \(path) \(sort) as one of \(other)")
                    }
                    let next = try await app.send(.get, "\(target)&cursor=\(cursor.text ?? "")", as: .anyAdmin)
                    #expect(next.status == 200, "\(path) \(sort)")
                }
            }
        }
    }

    @Test("a page says where the next one starts, or null on the last")
    func pages() throws {
        let checker = Schema(document: try document())
        let schema = try #require(try document()["components"]?["schemas"]?["ProductList"])
        for cursor in [nil, "n000000000000000a"] as [String?] {
            let page = Page(items: [Samples.product, Samples.product], nextCursor: cursor)
            let value = try JSONParser.parse(JSONWriter.page(page) { $0.write($1) })
            #expect(checker.faults(value, schema) == [])
            #expect(value["nextCursor"] == (cursor.map { .string($0) } ?? .null))
            #expect(value["items"]?.elements?.count == 2)
        }
    }

    @Test("every refusal is a problem as described")
    func refusals() throws {
        let checker = Schema(document: try document())
        let schema = try #require(try document()["components"]?["schemas"]?["Problem"])
        let refusals = try Samples.refusals().map { refusal, code in
            (code, [Problem(refusal, at: Samples.now).response, PreparedAnswers().response(to: refusal, at: Samples.now)])
        }
        let claimed = [Problem.couponAlreadyClaimed(try Samples.coupon(), at: Samples.now).response]
        for (code, responses) in refusals + [("COUPON_ALREADY_CLAIMED", claimed)] {
            for response in responses {
                let value = try JSONParser.parse(response.body)
                #expect(value["code"] == .string(code))
                #expect(value["status"] == .integer(Int64(response.status)))
                #expect(response.contentType == "application/problem+json")
                #expect(checker.faults(value, schema) == [], "\(code)")
                #expect(checker.unnamed(value, schema) == [], "\(code)")
            }
        }
    }
}
