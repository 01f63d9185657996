import Commerce
import HTTPServer
import NIOCore
import NIOEmbedded
import Store
import Testing

@testable import API

/// What a body came to: its value, or the fields its problem names.
private enum Reading<Value: Equatable>: Equatable {
    case value(Value)
    case faults([String])

    init(_ body: String, contentType: String = "application/json", _ read: (inout FieldReader) -> Value?) {
        let request = HTTPRequest(
            method: .post, path: "/", headers: ["Content-Type": contentType], body: ByteBuffer(string: body), eventLoop: EmbeddedEventLoop()
        )
        do throws(RequestFault) {
            self = .value(try JSONBody.decode(request, read))
        } catch {
            self = .faults([error.problem.code.rawValue] + error.problem.faults.map(\.field))
        }
    }
}

private let now = Instant(milliseconds: 1_795_000_000_000)
private let tooLong = String(repeating: "가", count: 201)

/// Every way in which a name can be wrong.
private let badNames = [
    "null", "7", "true", "[]", "{}", #""""#, #""  ""#, "\"\(tooLong)\"", #""a\u0000b""#, #""a\nb""#, #""\u007f""#, #""\u2028""#,
]

/// Every way in which a positive integer up to `maximum` can be wrong; `required` adds null.
private func badIntegers(above maximum: Int64, below minimum: Int64, required: Bool) -> [String] {
    var values = [
        #""1""#, "1.0", "1.5", "1e2", "true", "[]", "{}", "\(minimum - 1)", "-9223372036854775808", "9223372036854775808",
        "-9223372036854775809", "99999999999999999999999999999999",
    ]
    if maximum < Int64.max { values += ["\(maximum + 1)", "9223372036854775807"] }
    return required ? values + ["null"] : values
}

private let badObjects = ["null", "7", #""x""#, "[]", "true"]
private let badInstants = [
    "7", "true", "[]", #""""#, #""2026-11-20""#, #""2026-11-20T03:04:05""#, #""2026-02-30T00:00:00Z""#, #""1969-12-31T23:59:59Z""#,
    #""2026-11-20T24:00:00Z""#, #""tomorrow""#,
]

@Suite("Request bodies")
struct BodyTests {
    /// The body with one member replaced by JSON text, or left out.
    private func body(_ members: [(String, String)], replacing name: String? = nil, by text: String? = nil) -> String {
        let kept = members.compactMap { member -> String? in
            guard member.0 == name else { return "\"\(member.0)\":\(member.1)" }
            return text.map { "\"\(member.0)\":\($0)" }
        }
        let isNew = name != nil && text != nil && !members.contains { $0.0 == name }
        return "{" + (kept + (isNew ? ["\"\(name ?? "")\":\(text ?? "")"] : [])).joined(separator: ",") + "}"
    }

    /// Holds that each bad text in one member is refused by its name, and changes nothing else.
    private func check<Value: Equatable>(
        _ good: [(String, String)], _ name: String, _ bad: [String], required: Bool, _ read: (inout FieldReader) -> Value?
    ) {
        for text in bad {
            let document = body(good, replacing: name, by: text)
            #expect(Reading(document, read) == .faults(["INVALID_REQUEST", name]), "\(document)")
        }
        let without = body(good, replacing: name)
        if required {
            #expect(Reading(without, read) == .faults(["INVALID_REQUEST", name]), "\(without)")
        } else if case .faults(let faults) = Reading(without, read) {
            Issue.record("\(without): \(faults)")
        }
    }

    @Test("a new user needs a good name")
    func user() {
        let good = [("name", #""김하늘""#)]
        #expect(Reading(body(good)) { NewUser(&$0)?.name } == .value("김하늘"))
        check(good, "name", badNames, required: true) { NewUser(&$0) }
        let longest = String(repeating: "가", count: 200)
        #expect(Reading("{\"name\":\"\(longest)\"}") { NewUser(&$0)?.name } == .value(longest))
    }

    @Test("a charge needs an integer of 64 bits; whether it is in range is for the policy")
    func charge() {
        let good = [("amount", "1000")]
        #expect(Reading(body(good)) { NewCharge(&$0)?.amount } == .value(Won(1000)))
        let bad = [#""1000""#, "1000.0", "1e3", "true", "[]", "{}", "null", "9223372036854775808", "-9223372036854775809"]
        check(good, "amount", bad, required: true) { NewCharge(&$0) }
        for text in ["0", "-1", "9223372036854775807", "-9223372036854775808"] {
            #expect(Reading(body(good, replacing: "amount", by: text)) { NewCharge(&$0)?.amount.description } == .value(text))
        }
    }

    @Test("a new product needs name, price and stock within bounds")
    func product() {
        let good = [("name", #""제주 감귤""#), ("price", "14500"), ("stock", "0")]
        #expect(Reading(body(good)) { NewProduct(&$0)?.stock } == .value(0))
        check(good, "name", badNames, required: true) { NewProduct(&$0) }
        check(good, "price", badIntegers(above: Bounds.price.upperBound, below: 1, required: true), required: true) { NewProduct(&$0) }
        check(good, "stock", badIntegers(above: Bounds.stock.upperBound, below: 0, required: true), required: true) { NewProduct(&$0) }
    }

    @Test("a product change may leave anything out, and refuses what a new product refuses")
    func productChange() {
        let good = [("name", #""제주 감귤""#), ("price", "14500"), ("stock", "5")]
        #expect(Reading("{}") { ProductChange(&$0) == ProductChange() } == .value(true))
        #expect(Reading(#"{"name":null,"price":null}"#) { ProductChange(&$0).name == nil } == .value(true))
        check(good, "name", badNames.filter { $0 != "null" }, required: false) { ProductChange(&$0).price }
        check(good, "price", badIntegers(above: Bounds.price.upperBound, below: 1, required: false), required: false) {
            ProductChange(&$0).name
        }
        check(good, "stock", badIntegers(above: Bounds.stock.upperBound, below: 0, required: false), required: false) {
            ProductChange(&$0).name
        }
        let limit = Bounds.stock.upperBound
        check([("stockChange", "-5")], "stockChange", badIntegers(above: limit, below: -limit, required: false), required: false) {
            ProductChange(&$0)
        }
        #expect(Reading(#"{"stockChange":-5}"#) { ProductChange(&$0).stockChange } == .value(-5))
        #expect(Reading(#"{"stock":1,"stockChange":1}"#) { ProductChange(&$0) } == .faults(["INVALID_REQUEST", "stockChange"]))
    }

    private let campaign = [
        ("name", #""겨울맞이 쿠폰""#), ("discount", #"{"type":"PERCENT","percent":10,"maxAmount":5000}"#), ("quantity", "100"),
        ("opensAt", #""2026-11-20T09:00:00+09:00""#), ("closesAt", #""2026-11-27T00:00:00.000Z""#), ("validFor", "3600"),
        ("minOrderAmount", "0"), ("restoreOnRefund", "true"),
    ]

    @Test("a campaign keeps every member it is given")
    func campaignMembers() {
        let expected = CampaignTerms(
            name: "겨울맞이 쿠폰", discount: .percent(10, maxAmount: Won(5000)), quantity: 100,
            opensAt: Instant(milliseconds: 1_795_132_800_000), closesAt: Instant(milliseconds: 1_795_737_600_000), validForSeconds: 3600,
            minOrderAmount: .zero, restoreOnRefund: true)
        #expect(Reading(body(campaign)) { CampaignTerms(&$0, now: now) } == .value(expected))
    }

    @Test("a campaign without its optional members opens now, never closes, and is valid for 30 days")
    func campaignDefaults() {
        let document = #"{"name":"쿠폰","discount":{"type":"FIXED","amount":3000},"quantity":1,"opensAt":null,"validFor":null}"#
        let expected = CampaignTerms(
            name: "쿠폰", discount: .fixed(amount: Won(3000)), quantity: 1, opensAt: now, closesAt: nil, validForSeconds: 2_592_000,
            minOrderAmount: .zero, restoreOnRefund: false)
        #expect(Reading(document) { CampaignTerms(&$0, now: now) } == .value(expected))
    }

    @Test("a campaign refuses each bad member by its name")
    func badCampaign() {
        func check(_ name: String, _ bad: [String], required: Bool) {
            self.check(campaign, name, bad, required: required) { CampaignTerms(&$0, now: now) }
        }
        check("name", badNames, required: true)
        check("discount", badObjects, required: true)
        check("quantity", badIntegers(above: Bounds.couponQuantity.upperBound, below: 1, required: true), required: true)
        check("validFor", badIntegers(above: Bounds.couponValidity.upperBound, below: 1, required: false), required: false)
        check("minOrderAmount", badIntegers(above: Bounds.price.upperBound, below: 0, required: false), required: false)
        check("restoreOnRefund", ["7", #""true""#, "[]", "{}"], required: false)
        check("opensAt", badInstants, required: false)
        check("closesAt", badInstants, required: false)
        check("closesAt", [#""2026-11-20T00:00:00.000Z""#, #""2026-11-19T23:59:59.999Z""#], required: false)
    }

    @Test(
        "a discount is refused by the member at fault",
        arguments: [
            (#"{}"#, ["discount.type"]), (#"{"type":null}"#, ["discount.type"]), (#"{"type":"fixed","amount":1}"#, ["discount.type"]),
            (#"{"type":1}"#, ["discount.type"]), (#"{"type":"FIXED"}"#, ["discount.amount"]),
            (#"{"type":"FIXED","amount":0}"#, ["discount.amount"]),
            (#"{"type":"FIXED","amount":-1}"#, ["discount.amount"]), (#"{"type":"FIXED","amount":1000000000001}"#, ["discount.amount"]),
            (#"{"type":"FIXED","amount":9223372036854775808}"#, ["discount.amount"]),
            (#"{"type":"FIXED","percent":10}"#, ["discount.amount"]),
            (#"{"type":"PERCENT"}"#, ["discount.percent"]), (#"{"type":"PERCENT","percent":0}"#, ["discount.percent"]),
            (#"{"type":"PERCENT","percent":101}"#, ["discount.percent"]), (#"{"type":"PERCENT","percent":0.5}"#, ["discount.percent"]),
            (#"{"type":"PERCENT","percent":"10"}"#, ["discount.percent"]),
            (#"{"type":"PERCENT","percent":10,"maxAmount":0}"#, ["discount.maxAmount"]),
            (#"{"type":"PERCENT","percent":-1,"maxAmount":"x"}"#, ["discount.percent", "discount.maxAmount"]),
        ])
    func discount(text: String, fields: [String]) {
        let document = body(campaign, replacing: "discount", by: text)
        #expect(Reading(document) { CampaignTerms(&$0, now: now) } == .faults(["INVALID_REQUEST"] + fields))
    }

    @Test("a campaign change refuses bad members and a window that ends before it begins")
    func campaignChange() {
        let good = [("quantity", "5"), ("opensAt", #""2026-11-20T00:00:00Z""#), ("closesAt", #""2026-11-21T00:00:00Z""#)]
        #expect(Reading("{}") { CampaignChange(&$0) } == .value(CampaignChange()))
        #expect(Reading(#"{"quantity":null,"opensAt":null}"#) { CampaignChange(&$0) } == .value(CampaignChange()))
        #expect(Reading(#"{"closesAt":null}"#) { CampaignChange(&$0) } == .value(CampaignChange(removesEnd: true)))
        let quantities = badIntegers(above: Bounds.couponQuantity.upperBound, below: 1, required: false)
        check(good, "quantity", quantities, required: false) { CampaignChange(&$0) }
        check(good, "opensAt", badInstants, required: false) { CampaignChange(&$0) }
        check(good, "closesAt", badInstants + [#""2026-11-20T00:00:00Z""#], required: false) { CampaignChange(&$0) }
    }

    @Test("the lines of one product are added up")
    func orderLines() {
        let document =
            #"{"items":[{"productId":2,"quantity":1},{"productId":1,"quantity":5},{"productId":2,"quantity":3}],"issuedCouponId":9}"#
        let items = [RequestedItem(productID: ProductID(2), quantity: 4), RequestedItem(productID: ProductID(1), quantity: 5)]
        #expect(Reading(document) { NewOrder(&$0)?.items } == .value(items))
        #expect(Reading(document) { NewOrder(&$0)?.issuedCouponID } == .value(IssuedCouponID(9)))
    }

    @Test("an order refuses bad lines by their place")
    func badOrder() {
        let good = [("items", #"[{"productId":1,"quantity":1}]"#), ("issuedCouponId", "3")]
        let many = "[" + Array(repeating: #"{"productId":1,"quantity":1}"#, count: 101).joined(separator: ",") + "]"
        check(good, "items", ["null", "7", "{}", #""x""#, "[]", many], required: true) { NewOrder(&$0) }
        check(good, "issuedCouponId", badIntegers(above: Int64.max, below: 1, required: false), required: false) { NewOrder(&$0) }
        for (member, bound) in [("productId", Int64.max), ("quantity", Bounds.orderLineQuantity.upperBound)] {
            for text in badIntegers(above: bound, below: 1, required: true) {
                let other = member == "quantity" ? "productId" : "quantity"
                let document = "{\"items\":[{\"productId\":1,\"quantity\":1},{\"\(member)\":\(text),\"\(other)\":1}]}"
                #expect(Reading(document) { NewOrder(&$0) } == .faults(["INVALID_REQUEST", "items[1].\(member)"]), "\(document)")
            }
        }
        for element in ["null", "7", "[]", #""x""#] {
            #expect(Reading("{\"items\":[\(element)]}") { NewOrder(&$0) } == .faults(["INVALID_REQUEST", "items[0]"]))
        }
    }

    @Test("a payment needs an order")
    func payment() {
        let good = [("orderId", "17")]
        #expect(Reading(body(good)) { NewPayment(&$0)?.orderID } == .value(OrderID(17)))
        check(good, "orderId", badIntegers(above: Int64.max, below: 1, required: true), required: true) { NewPayment(&$0) }
    }

    @Test("a refund may name items or none")
    func refund() {
        for text in ["", "{}", #"{"items":null}"#] {
            #expect(Reading(text) { NewRefund(&$0).map { $0.items == nil } } == .value(true), "\(text)")
        }
        let good = [("items", #"[{"productId":1,"quantity":1}]"#)]
        check(good, "items", ["7", "{}", "[]", #""x""#], required: false) { NewRefund(&$0) }
    }

    @Test("all faults of a body are named together")
    func together() {
        let document = #"{"name":"","discount":{"type":"PERCENT","percent":0},"quantity":-1,"opensAt":"x","restoreOnRefund":1}"#
        let fields = ["name", "discount.percent", "quantity", "opensAt", "restoreOnRefund"]
        #expect(Reading(document) { CampaignTerms(&$0, now: now) } == .faults(["INVALID_REQUEST"] + fields))
    }

    @Test(
        "what is no JSON object is refused before any field",
        arguments: ["[]", "7", "null", #""x""#, "{", "{}x", #"{"name":"a","name":"b"}"#, "\u{FEFF}{}", #"{"name":"\ud800"}"#, " "])
    func notAnObject(text: String) {
        #expect(Reading(text) { NewUser(&$0) } == .faults(["INVALID_REQUEST"]))
    }

    private static let line = #"{"productId":9223372036854775807,"quantity":1000000}"#

    @Test("the largest order is read, with room for members that nobody asked for")
    func largestOrder() {
        let lines = Array(repeating: Self.line, count: 100).joined(separator: ",")
        #expect(Reading(#"{"items":[\#(lines)],"issuedCouponId":1}"#) { NewOrder(&$0)?.items.count } == .value(1))
        let described = (0..<100).map { line in
            #"{"productId":\#(line + 1),"quantity":1,"# + (0..<4).map { #""member\#($0)":[]"# }.joined(separator: ",") + "}"
        }
        #expect(Reading(#"{"items":[\#(described.joined(separator: ","))]}"#) { NewOrder(&$0)?.items.count } == .value(100))
    }

    @Test(
        "a body of more values than any route needs is refused for that, whatever they are", arguments: ["1", "[]", #""""#, "{}", "null"])
    func tooManyValues(value: String) {
        let most = Array(repeating: value, count: JSONBody.maximumValues - 3).joined(separator: ",")
        #expect(Reading(#"{"name":"a","x":[\#(most)]}"#) { NewUser(&$0)?.name } == .value("a"))
        let request = HTTPRequest(
            method: .post, path: "/", headers: ["Content-Type": "application/json"],
            body: ByteBuffer(string: #"{"name":"a","x":[\#(most),\#(value)]}"#), eventLoop: EmbeddedEventLoop())
        let error = #expect(throws: RequestFault.self) { try JSONBody.decode(request) { NewUser(&$0) } }
        #expect(error?.problem.code == .invalidRequest && error?.problem.detail.contains("768 JSON values") == true)
    }

    @Test("of many faults the first 32 are named, in their order")
    func manyFaults() {
        func fields(_ lines: [String]) -> [String] {
            guard case .faults(let faults) = Reading(#"{"items":[\#(lines.joined(separator: ","))]}"#, { NewOrder(&$0)?.items.count })
            else { return [] }
            return Array(faults.dropFirst())
        }
        let all = (0..<100).flatMap { ["items[\($0)].productId", "items[\($0)].quantity"] }
        #expect(fields(Array(repeating: "{}", count: 100)) == Array(all.prefix(32)))
        #expect(fields(Array(repeating: "{}", count: 16)) == Array(all.prefix(32)))
        #expect(fields(Array(repeating: "{}", count: 15)) == Array(all.prefix(30)))
        #expect(fields(Array(repeating: Self.line, count: 99) + ["{}"]) == Array(all.suffix(2)))
    }

    @Test("an unknown member is ignored")
    func unknownMember() {
        #expect(Reading(#"{"name":"a","role":"admin","x":{"y":[1]}}"#) { NewUser(&$0)?.name } == .value("a"))
    }

    @Test(
        "a media type is JSON in UTF-8 or refused",
        arguments: [
            ("application/json", true), ("Application/JSON", true), ("application/json; charset=utf-8", true),
            ("application/json;charset=\"UTF-8\"", true), ("application/json ; charset=UTF-8", true), ("application/json; profile=x", true),
            ("application/json; charset=euc-kr", false), ("text/json", false), ("application/jsonp", false), ("text/plain", false),
            ("application/x-www-form-urlencoded", false), ("", false), ("application/json, application/json", false),
            ("application/json;", true), ("application/json\t ; ;CHARSET=utf-8\t", true), ("application/json;x;charset=utf-16", false),
            ("application/json;charset=", false), ("application/json;charset=utf-8x", false), (";application/json", false),
            ("application/json" + String(repeating: "; ", count: 5_000), true), ("application/jso", false),
            ("\u{2F}application/json", false),
            ("application/jsoN;xcharset=x", true), ("\tapplication/json", true),
        ])
    func mediaType(contentType: String, isJSON: Bool) {
        let reading = Reading(#"{"name":"a"}"#, contentType: contentType) { NewUser(&$0)?.name }
        #expect(reading == (isJSON ? .value("a") : .faults(["UNSUPPORTED_MEDIA_TYPE"])))
    }
}
