import Commerce
import Foundation
import JSON
import Services
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Grants to lists over HTTP", .everyEngine)
    struct GrantRouteTests {}
}

extension EndToEnd.GrantRouteTests {
    private static func post(
        _ caller: Caller, _ coupon: Int64, _ list: String, type: String = "text/csv", key: String? = nil
    ) async throws -> HTTPAnswer {
        var headers = ["Content-Type": type]
        headers["Idempotency-Key"] = key
        return try await caller.call("POST", "/coupons/\(coupon)/grants", body: list, headers: headers)
    }

    private static func finished(_ live: LiveService, _ path: String) async throws -> HTTPAnswer {
        var answer = try await live.admin.get(path).expect(200)
        try await eventually("the grant is done") {
            answer = try await live.admin.get(path).expect(200)
            return try answer.string("state") == "DONE"
        }
        return answer
    }

    @Test("a list in CSV or JSON is granted in the background, and its progress can be read")
    func granted() async throws {
        try await LiveService.run { live in
            let users = try await live.newUsers(6)
            let coupon = try await live.admin.makeCoupon(quantity: 4)
            _ = try await users[5].claim(coupon).expect(201)
            let list = "userId,name\r\n\(users[1].id),a\r\n\r\n\(users[0].id)\r\n\(users[1].id)\r\n\(users[5].id)\r\n999999"
            let accepted = try await Self.post(live.admin, coupon, list).expect(202)
            let path = try #require(accepted[header: "location"])
            #expect(path == "/api/v1/coupons/\(coupon)/grants/\(try accepted.int("grantId"))")
            #expect(try accepted.string("state") == "RUNNING" && accepted.int("total") == 4 && accepted.int("processed") == 0)
            let done = try await Self.finished(live, path)
            let members = ["couponId", "total", "processed", "granted", "alreadyHeld", "soldOut", "closed", "unknownUsers"]
            #expect(try members.map { try done.int($0) } == [coupon, 4, 4, 2, 1, 0, 0, 1])
            #expect(try done.string("finishedAt").hasSuffix("Z"))
            let more = try await Self.post(
                live.admin, coupon, #"{"userIds": [\#(users.map { "\($0.id)" }.joined(separator: ","))]}"#, type: "application/json"
            )
            .expect(202)
            let second = try await Self.finished(live, try #require(more[header: "location"]))
            #expect(try members.map { try second.int($0) } == [coupon, 6, 6, 1, 3, 2, 0, 0])
            let listed = try await live.admin.get("/coupons/\(coupon)/grants").expect(200).json()
            #expect(listed["items"]?.elements?.compactMap { $0["grantId"]?.int } == [try second.int("grantId"), try done.int("grantId")])
            #expect(try await users[0].get("/users/\(users[0].id)/coupons").expect(200).items().count == 1)
            #expect(try await live.admin.get("/coupons/\(coupon)").expect(200).int("remaining") == 0)
        }
    }

    @Test("a list with a malformed line is refused with the line's number, and nothing of it is kept")
    func malformed() async throws {
        try await LiveService.run { live in
            let user = try await live.newUser()
            let coupon = try await live.admin.makeCoupon()
            let refused = try await Self.post(live.admin, coupon, "userId\n\(user.id)\n\nx7\n").expect(400)
            #expect(try refused.json()["errors"]?.elements?.first?["field"] == .string("line 4"))
            for (list, type) in [("{\"userIds\":[1,\"2\"]}", "application/json"), ("", "text/csv"), ("{}", "application/json")] {
                _ = try await Self.post(live.admin, coupon, list, type: type).expect(400)
            }
            for type in ["text/plain", "application/x-www-form-urlencoded", "text/csv; charset=euc-kr", ""] {
                _ = try await Self.post(live.admin, coupon, "\(user.id)", type: type).expect(415)
            }
            _ = try await Self.post(live.admin, coupon, "\(user.id)", type: "text/csv; charset=utf-8").expect(202)
            #expect(try await live.admin.get("/coupons/\(coupon)/grants").expect(200).items().count == 1)
        }
    }

    @Test("only admins grant and see grants, and what does not exist is said")
    func refusals() async throws {
        try await LiveService.run { live in
            let user = try await live.newUser()
            let coupon = try await live.admin.makeCoupon()
            _ = try await Self.post(user, coupon, "1").expect(403)
            _ = try await Self.post(live.guest, coupon, "1").expect(401)
            for path in ["/coupons/\(coupon)/grants", "/coupons/\(coupon)/grants/1"] {
                _ = try await user.get(path).expect(403)
                _ = try await live.guest.get(path).expect(401)
            }
            #expect(try await Self.post(live.admin, 99, "1").expect(404).code == "COUPON_NOT_FOUND")
            #expect(try await live.admin.get("/coupons/99/grants").expect(404).code == "COUPON_NOT_FOUND")
            #expect(try await live.admin.get("/coupons/\(coupon)/grants/7").expect(404).code == "GRANT_NOT_FOUND")
            #expect(try await live.admin.get("/coupons/99/grants/7").expect(404).code == "COUPON_NOT_FOUND")
        }
    }

    @Test("the same key with the same list is answered once, byte for byte, also for a list beyond 64 KiB")
    func repeated() async throws {
        try await LiveService.run { live in
            let coupon = try await live.admin.makeCoupon()
            for (key, count) in [("small", 3), ("large", 20_000)] {
                let list = (1...count).map(String.init).joined(separator: "\n")
                let first = try await Self.post(live.admin, coupon, list, key: key).expect(202)
                let again = try await Self.post(live.admin, coupon, list, key: key).expect(202)
                #expect(again.text == first.text && again[header: "idempotent-replayed"] == "true")
                #expect(again[header: "location"] == first[header: "location"])
                #expect(try await Self.post(live.admin, coupon, list + "\n7777777", key: key).expect(422).code == "IDEMPOTENCY_KEY_REUSED")
            }
            #expect(try await live.admin.get("/coupons/\(coupon)/grants").expect(200).items().count == 2)
        }
    }

    @Test("a body beyond 64 KiB needs an admin's token and this route")
    func largeBodies() async throws {
        try await LiveService.run { live in
            let user = try await live.newUser()
            let coupon = try await live.admin.makeCoupon()
            let list = String(repeating: "1234567\n", count: 10_000)
            _ = try await Self.post(user, coupon, list).expect(413)
            _ = try await Self.post(live.guest, coupon, list).expect(413)
            _ = try await Self.post(Caller(pool: live.admin.pool, token: "a.b.c"), coupon, list).expect(413)
            _ = try await live.admin.call("POST", "/coupons", body: list).expect(413)
            _ = try await live.admin.call("PATCH", "/coupons/\(coupon)", body: list).expect(413)
            _ = try await Self.post(live.admin, coupon, list).expect(202)
            _ = try await Self.post(live.admin, coupon, String(repeating: "1\n", count: 1_000_001)).expect(413)
            let head =
                "POST /api/v1/coupons/\(coupon)/grants HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer \(live.admin.token ?? "")\r\nContent-Type: text/csv\r\n"
            let port = live.port
            try await offPool {
                let tooLong = try RawHTTPClient(port: port)
                try tooLong.send(head + "Content-Length: 16777217\r\n\r\n")
                #expect(try tooLong.readResponse().status == 413)
                // Three lists take the whole budget before they are read; the fourth waits its turn elsewhere.
                let holders = try (0..<3).map { _ in
                    let client = try RawHTTPClient(port: port)
                    try client.send(head + "Content-Length: 16777216\r\nExpect: 100-continue\r\n\r\n")
                    #expect(try client.readResponse().status == 100)
                    return client
                }
                let fourth = try RawHTTPClient(port: port)
                try fourth.send(head + "Content-Length: 70000\r\nExpect: 100-continue\r\n\r\n")
                let refused = try fourth.readResponse()
                #expect(refused.status == 503 && refused["retry-after"] != nil)
                for holder in holders { holder.reset() }
            }
            // The memory is given back, and a list in chunks may be as long.
            try await eventually("a list is taken again") { try await Self.post(live.admin, coupon, list).status == 202 }
            let chunk = "2710\r\n" + String(repeating: "7654321\n", count: 1_250) + "\r\n"
            try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send(head + "Transfer-Encoding: chunked\r\n\r\n")
                for _ in 0..<40 { try client.send(chunk) }
                try client.send("0\r\n\r\n")
                #expect(try client.readResponse().status == 202)
            }
            #expect(try await live.audit().isClean)
        }
    }
}
