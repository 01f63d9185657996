import JSON
import NIOCore
import TestSupport
import Testing

/// A good body with one member replaced by something that must not pass.
struct BadBody: Sendable, CustomTestStringConvertible {
    let method: String
    let path: String
    let isAdmin: Bool
    /// The member as the answer must name it, such as `items[0].quantity`.
    let field: String
    let body: String
    /// How often a bad value has another code than `INVALID_REQUEST`: amounts within `Int64` are a matter of policy.
    var code = "INVALID_REQUEST"

    var testDescription: String { "\(method) \(path) \(field) \(body.prefix(80))" }
}

extension BadBody {
    /// What each kind of member must refuse, as JSON text; `nil` stands for leaving the member away.
    private static let wrongTypes: [String?] = [#""1""#, "true", "[]", "{}", "1.5", "1e3", "1.0"]
    private static let beyond = ["9223372036854775808", "-9223372036854775809", String(repeating: "9", count: 400)]
    private static let positive: [String?] = wrongTypes + beyond + ["0", "-1"]
    private static let names: [String?] =
        ["1", "true", "[]", "{}", #""""#, #""   ""#, #""\u0000""#, #""a\nb""#, #""a\u007fb""#, #""\u2028""#]
        + [#""\#(String(repeating: "가", count: 201))""#]
    private static let instants: [String?] = [
        "1", "true", "[]", "{}", #""""#, #""yesterday""#, #""2026-13-01T00:00:00Z""#, #""2026-02-30T00:00:00Z""#, #""2026-11-20""#,
        #""2026-11-20T00:00:00""#, #""1969-12-31T23:59:59Z""#, #""10000-01-01T00:00:00Z""#, #""2026-11-20T24:00:00Z""#,
    ]
    private static let objects: [String?] = ["1", "true", #""text""#, "[]"]
    private static let required: [String?] = [nil, "null"]

    private typealias Member = (name: String, good: String, bad: [String?])

    private static func bodies(
        _ method: String, _ path: String, isAdmin: Bool = true, _ members: [Member], wrap: (String) -> String = { $0 }, prefix: String = ""
    ) -> [BadBody] {
        members.flatMap { member in
            member.bad.map { bad in
                let fields = members.compactMap { other -> String? in
                    guard other.name == member.name else { return other.good.isEmpty ? nil : "\"\(other.name)\": \(other.good)" }
                    return bad.map { "\"\(member.name)\": \($0)" }
                }
                return BadBody(
                    method: method, path: path, isAdmin: isAdmin, field: prefix + member.name,
                    body: wrap("{\(fields.joined(separator: ", "))}"))
            }
        }
    }

    private static func placing(_ path: String) -> [BadBody] {
        let item: [Member] = [
            ("productId", "1", required + positive), ("quantity", "1", required + positive + ["1000001"]),
        ]
        let lists: [String?] = [
            "1", #""x""#, "{}", "[]", "[1]", "[[]]",
            "[\(Array(repeating: #"{"productId": 1, "quantity": 1}"#, count: 101).joined(separator: ","))]",
        ]
        return bodies("POST", path, isAdmin: false, item, wrap: { #"{"items": [\#($0)]}"# }, prefix: "items[0].")
            + bodies(
                "POST", path, isAdmin: false,
                [("items", #"[{"productId": 1, "quantity": 1}]"#, required + lists), ("issuedCouponId", "", positive)])
    }

    private static let product: [Member] = [
        ("name", #""요가 매트""#, names), ("price", "1000", positive + ["1000000000001"]),
        ("stock", "1", wrongTypes + beyond + ["-1", "1000000001"]),
    ]
    private static let fixed: [Member] = [
        ("type", #""FIXED""#, required + ["1", #""fixed""#, #""FREE""#]), ("amount", "1000", required + positive + ["1000000000001"]),
    ]
    private static let percent: [Member] = [
        ("type", #""PERCENT""#, []), ("percent", "10", required + positive + ["101"]), ("maxAmount", "", positive + ["1000000000001"]),
    ]
    private static let campaign: [Member] = [
        ("name", #""선착순""#, required + names), ("discount", #"{"type": "FIXED", "amount": 1000}"#, required + objects),
        ("quantity", "10", required + positive + ["100000001"]), ("opensAt", "", instants),
        ("closesAt", "", instants + [#""2020-01-01T00:00:00Z""#]),
        ("validFor", "", positive + ["315360001"]), ("minOrderAmount", "", wrongTypes + beyond + ["-1", "1000000000001"]),
        ("restoreOnRefund", "", ["1", #""true""#, "[]", "{}", "0"]),
    ]
    private static let change: [Member] = [
        ("quantity", "", positive + ["100000001"]), ("opensAt", "", instants), ("closesAt", "", instants),
    ]

    private static func coupon(_ discount: String) -> String { #"{"name": "선착순", "quantity": 10, "discount": \#(discount)}"# }

    static let all: [BadBody] = [
        bodies("POST", "/users", [("name", #""김하늘""#, required + names)]),
        bodies("POST", "/users/1/balance/charges", isAdmin: false, [("amount", "1000", required + wrongTypes + beyond)]),
        bodies("POST", "/products", product.map { ($0.name, $0.good, required + $0.bad) }),
        bodies("PATCH", "/products/1", product),
        bodies("POST", "/coupons", campaign),
        bodies("POST", "/coupons", fixed, wrap: coupon, prefix: "discount."),
        bodies("POST", "/coupons", percent, wrap: coupon, prefix: "discount."),
        bodies("PATCH", "/coupons/1", change),
        placing("/orders"), placing("/checkout"),
        bodies("POST", "/payments", isAdmin: false, [("orderId", "1", required + positive)]),
        bodies("POST", "/payments/1/refunds", [("items", "", ["1", #""x""#, "{}", "[]", "[1]"])]),
        bodies(
            "POST", "/payments/1/refunds",
            [("productId", "1", required + positive), ("quantity", "1", required + positive + ["1000001"])],
            wrap: { #"{"items": [\#($0)]}"# }, prefix: "items[0]."),
    ].flatMap(\.self)
}

extension EndToEnd {
    @Suite("Bad input of any kind is a 400 that names the field, and changes nothing", .sharedService, .everyEngine)
    struct BadInputTests {}
}

extension EndToEnd.BadInputTests {
    @Test("every member of every body, wrong in every way")
    func everyMember() async throws {
        let live = try service
        let user = try await live.newUser(balance: 100_000)
        let product = try await live.admin.makeProduct(price: 1_000)
        _ = try await live.admin.makeCoupon()
        _ = try await user.checkout(product, 5).expect(201)
        _ = try await user.order(product).expect(201)
        // Deliveries of the paid order's event note themselves in its row.
        try await eventsDelivered(live)

        let before = try live.dump()
        #expect(BadBody.all.count > 300)
        for bad in BadBody.all {
            let answer = try await (bad.isAdmin ? live.admin : user).call(bad.method, bad.path, body: bad.body)
            #expect(answer.status == 400 && answer.code == bad.code, "\(bad.testDescription): \(answer.status) \(answer.text)")
            let errors = try answer.json()["errors"]?.elements ?? []
            #expect(errors.contains { $0["field"]?.string?.hasPrefix(bad.field) == true }, "\(bad.testDescription): \(answer.text)")
            #expect(errors.allSatisfy { $0.shape == "{field: string, reason: string}" })
        }
        #expect(try live.dump() == before)
    }

    @Test("a total beyond Int64 is refused, and so is a sum of duplicate lines beyond the stock")
    func sums() async throws {
        let live = try service
        let user = try await live.newUser()
        let dear = try await live.admin.makeProduct(price: 1_000_000_000_000, stock: 1_000_000_000)
        let lines = Array(repeating: #"{"productId": \#(dear), "quantity": 1000000}"#, count: 100).joined(separator: ", ")
        let answer = try await user.post("/orders", #"{"items": [\#(lines)]}"#)
        #expect(answer.status == 400 && answer.code == "INVALID_REQUEST")

        let scarce = try await live.admin.makeProduct(stock: 3)
        let twice = #"{"items": [{"productId": \#(scarce), "quantity": 2}, {"productId": \#(scarce), "quantity": 2}]}"#
        for path in ["/orders", "/checkout"] { #expect(try await user.post(path, twice).code == "OUT_OF_STOCK") }
        #expect(try await live.admin.stock(of: scarce) == 3)
    }

    @Test(
        "names of 1 and of 200 characters pass, counted in code points",
        arguments: ["가", String(repeating: "한", count: 200), "👩‍👩‍👧‍👦 O'Brien \"x\" \\"])
    func goodNames(name: String) async throws {
        var body = JSONWriter()
        body.beginObject()
        body.member("name", name)
        body.endObject()
        let made = try await service.admin.post("/users", String(buffer: body.buffer)).expect(201)
        #expect(try made.string("name") == name)
    }

    @Test("members that the service does not know are ignored, and null means absent")
    func leniency() async throws {
        let admin = try service.admin
        let body =
            #"{"name": "선착순", "discount": {"type": "FIXED", "amount": 1, "colour": "red"}, "quantity": 1, "opensAt": null, "validFor": null, "x": [{}]}"#
        #expect(try await admin.post("/coupons", body).expect(201).int("validFor") == 2_592_000)
    }
}
