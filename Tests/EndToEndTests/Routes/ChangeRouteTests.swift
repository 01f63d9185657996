import JSON
import NIOCore
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Products and campaigns are changed as their reader expects", .sharedService, .everyEngine)
    struct ChangeRouteTests {}
}

extension EndToEnd.ChangeRouteTests {
    @Test("writing back the stock that was read loses no held unit")
    func stockRoundTrip() async throws {
        let admin = try service.admin
        let product = try await admin.makeProduct(price: 1_000, stock: 10)
        let user = try await service.newUser(balance: 10_000)
        let order = try await user.order(product, 4).expect(201).int("orderId")
        let read = try await admin.stock(of: product)
        #expect(try await admin.patch("/products/\(product)", #"{"stock": \#(read)}"#).expect(200).int("stock") == read)
        _ = try await user.cancel(order).expect(200)
        #expect(try await admin.stock(of: product) == 10)
    }

    @Test("stockChange adds and takes units, as far as they can be ordered")
    func stockChange() async throws {
        let admin = try service.admin
        let product = try await admin.makeProduct(stock: 5)
        _ = try await service.newUser().order(product, 3).expect(201)
        func change(_ units: Int) async throws -> HTTPAnswer {
            try await admin.patch("/products/\(product)", #"{"stockChange": \#(units)}"#)
        }
        #expect(try await change(4).expect(200).int("stock") == 6)
        #expect(try await change(-6).expect(200).int("stock") == 0)
        let refused = try await change(-1).expect(409)
        #expect(try refused.string("code") == "OUT_OF_STOCK" && refused.int("available") == 0 && refused.int("productId") == product)
        _ = try await change(1_000_000_000).expect(200)
        _ = try await change(1).expect(400)
        #expect(try await admin.stock(of: product) == 1_000_000_000)
    }

    @Test(
        "a change without a member that it knows is refused",
        arguments: [nil, "{}", #"{"colour": "red"}"#, #"{"name": null}"#, #"{"quantity": null}"#])
    func emptyChange(body: String?) async throws {
        let admin = try service.admin
        let (product, coupon) = (try await admin.makeProduct(), try await admin.makeCoupon())
        for path in ["/products/\(product)", "/coupons/\(coupon)"] {
            let before = try await admin.get(path).text
            let headers = body == nil ? ["Content-Length": "0"] : [:]
            let refused = try await admin.call("PATCH", path, body: body, headers: headers).expect(400)
            #expect(try refused.string("code") == "INVALID_REQUEST")
            #expect(try await admin.get(path).text == before)
        }
    }

    @Test("stock and stockChange exclude each other")
    func bothStocks() async throws {
        let admin = try service.admin
        let product = try await admin.makeProduct(stock: 5)
        _ = try await admin.patch("/products/\(product)", #"{"stock": 5, "stockChange": 1}"#).expect(400)
        #expect(try await admin.stock(of: product) == 5)
    }

    @Test("closesAt: null takes a campaign's end away, and its gate lets claims through again")
    func endless() async throws {
        let admin = try service.admin
        let coupon = try await admin.makeCoupon(#", "closesAt": "2020-01-02T00:00:00Z""#)
        let user = try await service.newUser()
        #expect(try await user.claim(coupon).expect(409).string("code") == "COUPON_CLOSED")
        let changed = try await admin.patch("/coupons/\(coupon)", #"{"closesAt": null}"#).expect(200)
        #expect(try changed.value("closesAt") == .null && changed.string("status") == "OPEN")
        _ = try await user.claim(coupon).expect(201)
    }

    @Test("of two admins who change what both have read, the second is told", arguments: ["products", "coupons"])
    func lostUpdate(kind: String) async throws {
        let (admin, isProduct) = (try service.admin, kind == "products")
        let path = "/\(kind)/\(isProduct ? try await admin.makeProduct() : try await admin.makeCoupon())"
        let (first, second) = isProduct ? (#"{"price": 1}"#, #"{"price": 2}"#) : (#"{"quantity": 101}"#, #"{"quantity": 102}"#)
        let read = try await admin.get(path).expect(200)
        let tag = try #require(read[header: "etag"])
        #expect(tag.hasPrefix("\"") && tag.count > 10)
        #expect(try await admin.get(path)[header: "etag"] == tag)
        let changed = try await admin.call("PATCH", path, body: first, headers: ["If-Match": tag]).expect(200)
        let newTag = try #require(changed[header: "etag"])
        #expect(newTag != tag)
        let refused = try await admin.call("PATCH", path, body: second, headers: ["If-Match": tag]).expect(412)
        #expect(try refused.string("code") == "PRECONDITION_FAILED")
        let now = try await admin.get(path).expect(200)
        #expect(now.text == changed.text && now[header: "etag"] == newTag)
        _ = try await admin.call("PATCH", path, body: second, headers: ["If-Match": "\"x\", \(newTag)"]).expect(200)
        _ = try await admin.call("PATCH", path, body: second, headers: ["If-Match": "*"]).expect(200)
        _ = try await admin.call("PATCH", path, body: second, headers: ["If-Match": "no tag"]).expect(400)
    }

    @Test("a reader who has the present state is answered 304, and anything newer as usual", arguments: ["products", "coupons"])
    func notModified(kind: String) async throws {
        let (admin, guest) = (try service.admin, try service.guest)
        let path = "/\(kind)/\(kind == "products" ? try await admin.makeProduct() : try await admin.makeCoupon())"
        let tag = try #require(try await guest.get(path).expect(200)[header: "etag"])
        for field in [tag, "W/\(tag)", "\"x\", \(tag)", "*"] {
            let answer = try await guest.get(path, headers: ["If-None-Match": field]).expect(304)
            #expect(answer[header: "etag"] == tag && answer.body.readableBytes == 0)
        }
        _ = try await guest.get(path, headers: ["If-None-Match": "\"x\""]).expect(200)
        _ = try await admin.patch(path, kind == "products" ? #"{"price": 77}"# : #"{"quantity": 777}"#).expect(200)
        _ = try await guest.get(path, headers: ["If-None-Match": tag]).expect(200)
    }
}

extension Caller {
    fileprivate func makeCoupon(_ terms: String) async throws -> Int64 { try await makeCoupon(quantity: 100, terms) }
}
