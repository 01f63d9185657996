import API
import App
import Commerce
import Foundation
import JSON
import NIOCore
import Store
import TestSupport
import Testing

/// One route of the API with ids filled in, and who may use it.
struct ContractRoute: Sendable, CustomTestStringConvertible {
    enum Access: Sendable {
        case all, user, admin, selfOrAdmin
    }

    let method: String
    let path: String
    let access: Access
    /// Whether the route looks at a JSON body.
    var readsBody: Bool { method != "GET" }
    var testDescription: String { "\(method) \(path)" }

    init(_ method: String, _ path: String, _ access: Access) {
        (self.method, self.path, self.access) = (method, path, access)
    }

    /// User 1 owns what 1 names; see ``EndToEnd/AnyRouteTests``.
    static let all = [
        ContractRoute("POST", "/users", .admin), ContractRoute("GET", "/users/1", .selfOrAdmin),
        ContractRoute("GET", "/users/1/balance", .selfOrAdmin), ContractRoute("POST", "/users/1/balance/charges", .selfOrAdmin),
        ContractRoute("GET", "/users/1/balance/history", .selfOrAdmin), ContractRoute("GET", "/users/1/coupons", .selfOrAdmin),
        ContractRoute("GET", "/users/1/orders", .selfOrAdmin), ContractRoute("POST", "/products", .admin),
        ContractRoute("PATCH", "/products/1", .admin), ContractRoute("GET", "/products", .all), ContractRoute("GET", "/products/1", .all),
        ContractRoute("GET", "/products/top", .all), ContractRoute("POST", "/coupons", .admin),
        ContractRoute("PATCH", "/coupons/1", .admin),
        ContractRoute("GET", "/coupons", .all), ContractRoute("GET", "/coupons/1", .all), ContractRoute("POST", "/coupons/1/claims", .user),
        ContractRoute("POST", "/orders", .user), ContractRoute("POST", "/orders/1/cancel", .selfOrAdmin),
        ContractRoute("GET", "/orders/1", .selfOrAdmin), ContractRoute("POST", "/payments", .user),
        ContractRoute("GET", "/payments/1", .selfOrAdmin), ContractRoute("POST", "/payments/1/refunds", .admin),
        ContractRoute("POST", "/checkout", .user), ContractRoute("GET", "/healthz", .all), ContractRoute("GET", "/readyz", .all),
        ContractRoute("GET", "/metrics", .all), ContractRoute("GET", "/openapi.json", .all),
        ContractRoute("GET", "/docs", .all),
    ]
    static let guarded = all.filter { $0.access != .all }
    /// A claim needs no body, and what it has is not looked at.
    static let claim = all.filter { $0.path.hasSuffix("/claims") }
    static let withBody = all.filter { $0.readsBody && !$0.path.hasSuffix("/claims") }
}

extension EndToEnd {
    @Suite("What holds for any route", .sharedService, .everyEngine)
    struct AnyRouteTests {}
}

extension EndToEnd.AnyRouteTests {
    /// Makes user 1 with coupon, order and payment 1, and a user 2 who owns none of it.
    private func people() async throws -> (owner: Caller, other: Caller) {
        let live = try service
        if live.store.userCount == 0 {
            let owner = try await live.newUser(balance: 100_000)
            _ = try await live.newUser()
            let product = try await live.admin.makeProduct(price: 1_000)
            _ = try await live.admin.makeCoupon()
            _ = try await owner.checkout(product, 5).expect(201)
            // A delivery is noted in the store, which tests here compare.
            try await eventsDelivered(live)
        }
        return (try await live.caller(user: 1), try await live.caller(user: 2))
    }

    private func call(_ caller: Caller, _ route: ContractRoute, body: String? = "{}", headers: [String: String] = [:]) async throws
        -> HTTPAnswer
    {
        try await caller.call(route.method, route.path, body: route.readsBody ? body : nil, headers: headers)
    }

    @Test("a route that is not open asks for a token, and says so in WWW-Authenticate", arguments: ContractRoute.guarded)
    func missingToken(_ route: ContractRoute) async throws {
        _ = try await people()
        let answer = try await call(try service.guest, route)
        #expect(answer.status == 401 && answer.code == "UNAUTHENTICATED")
        #expect(answer[header: "www-authenticate"] == #"Bearer realm="firstcome""#)
    }

    @Test(
        "a route that is open to all needs no token and does not care about a bad one",
        arguments: ContractRoute.all.filter { $0.access == .all })
    func openRoute(_ route: ContractRoute) async throws {
        _ = try await people()
        #expect(try await call(try service.guest, route).status == 200)
        #expect(try await call(try service.guest, route, headers: ["Authorization": "Bearer nonsense"]).status == 200)
    }

    @Test("a token that is forged, unsigned, expired, of another kind or of no known role is no token")
    func badTokens() async throws {
        let (live, owner) = (try service, try await people().owner)
        let token = try #require(owner.token)
        let parts = token.split(separator: ".").map(String.init)
        let none = Data(#"{"alg":"none","typ":"JWT"}"#.utf8).base64URL
        let strangeRole = Data(#"{"sub":"1","role":"root","exp":4102444800}"#.utf8).base64URL
        let expired = live.running.tokenKey.sign(
            .user(UserID(1)), issuedAt: Instant(milliseconds: 0), expiresAt: Instant(milliseconds: 1_000_000))
        let foreign = TokenKey(bytes: Array(repeating: 7, count: 32)).sign(
            .user(UserID(1)), issuedAt: live.clock.now, expiresAt: Instant(milliseconds: 4_102_444_800_000))
        let bad = [
            "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", token, "Bearer \(token)x", "Bearer \(parts[0]).\(parts[1])",
            "Bearer \(parts[0]).\(parts[1]).",
            "Bearer \(none).\(parts[1]).", "Bearer \(parts[0]).\(strangeRole).\(parts[2])", "Bearer \(expired)", "Bearer \(foreign)",
            "Bearer " + String(repeating: "a", count: 8_000),
        ]
        for authorization in bad {
            let answer = try await live.guest.get("/users/1", headers: ["Authorization": authorization])
            #expect(answer.status == 401 && answer.code == "UNAUTHENTICATED", "\(authorization.prefix(60))")
            #expect(answer[header: "www-authenticate"]?.hasPrefix("Bearer") == true)
        }
        #expect(try await live.guest.get("/users/1", headers: ["Authorization": "bearer \(token)"]).status == 200)
    }

    @Test(
        "nobody reads or moves what belongs to somebody else, and only who may use a route gets through",
        arguments: ContractRoute.guarded)
    func forbidden(_ route: ContractRoute) async throws {
        let (_, other) = try await people()
        let admin = try service.admin
        let refused: Caller? =
            switch route.access {
            case .all: nil
            case .user: admin
            case .admin, .selfOrAdmin: other
            }
        let before = try service.dump()
        let answer = try await call(try #require(refused), route)
        #expect(answer.status == 403 && answer.code == "FORBIDDEN", "\(answer.status) \(answer.text)")
        #expect(try service.dump() == before)
    }

    @Test("somebody else's order cannot be paid")
    func foreignOrder() async throws {
        let (_, other) = try await people()
        #expect(try await other.pay(1).code == "FORBIDDEN")
    }

    @Test(
        "a path that no route has is a problem too",
        arguments: ["/api/v1/nothing", "/api/v1", "/api/v1/users/1/balance/", "/api/v2/users/1", "/metrics/x", "/api/v1//users/1"])
    func noRoute(_ path: String) async throws {
        let caller = Caller(pool: try service.guest.pool)
        let answer = try await caller.call("GET", path)
        #expect(answer.status == 404 && answer.code == "NOT_FOUND")
    }

    @Test("a method that the path does not have is refused with those it has", arguments: ContractRoute.all)
    func wrongMethod(_ route: ContractRoute) async throws {
        let answer = try await service.admin.call("DELETE", route.path)
        #expect(answer.status == 405 && answer.code == "METHOD_NOT_ALLOWED")
        let allowed = try #require(answer[header: "allow"]).split(separator: ", ").map(String.init)
        #expect(allowed.contains(route.method))
        #expect(Set(allowed) == Set(Self.methods(of: route.path)))
    }

    private static func methods(of path: String) -> [String] {
        let methods = ContractRoute.all.filter { $0.path == path }.map(\.method)
        return methods + (methods.contains("GET") ? ["HEAD"] : [])
    }

    @Test("a body that is not JSON, or no object, is refused", arguments: ContractRoute.withBody)
    func malformedBody(_ route: ContractRoute) async throws {
        let (owner, _) = try await people()
        let caller = route.access == .admin ? try service.admin : owner
        let before = try service.dump()
        let bodies = [
            "{", "nonsense", "[]", "1", "null", "\"text\"", "{} {}", #"{"a": 1, "a": 2}"#, "{'a': 1}", #"{"name": "\ud800"}"#,
            String(repeating: "[", count: 5_000), #"{"a": 01}"#, "\u{FEFF}{}", "{\"a\": \"\u{1}\"}",
        ]
        for body in bodies {
            let answer = try await call(caller, route, body: body)
            #expect(answer.status == 400 && answer.code == "INVALID_REQUEST", "\(body.prefix(40)): \(answer.status) \(answer.text)")
        }
        #expect(try service.dump() == before)
    }

    @Test("a body of another media type is refused", arguments: ContractRoute.withBody)
    func mediaType(_ route: ContractRoute) async throws {
        let (owner, _) = try await people()
        let caller = route.access == .admin ? try service.admin : owner
        for type in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=euc-kr", ""] {
            let answer = try await call(caller, route, headers: ["Content-Type": type])
            #expect(answer.status == 415 && answer.code == "UNSUPPORTED_MEDIA_TYPE", "\(type)")
        }
    }

    @Test("a claim's body is passed over, whatever it is, but for its length", arguments: ContractRoute.claim)
    func claimBody(_ route: ContractRoute) async throws {
        let (owner, _) = try await people()
        for body in ["{", "nonsense", "[]", Self.paddedBody(65_536)] {
            let answer = try await call(owner, route, body: body, headers: ["Content-Type": "text/plain"])
            #expect(answer.status == 201 || answer.code == "COUPON_ALREADY_CLAIMED", "\(body.prefix(40)): \(answer.status) \(answer.text)")
        }
        #expect(try await call(owner, route, body: Self.paddedBody(65_537)).code == "PAYLOAD_TOO_LARGE")
    }

    @Test("a body over 64 KiB is refused, and one of exactly 64 KiB is read", arguments: ContractRoute.withBody)
    func bodySize(_ route: ContractRoute) async throws {
        let (owner, _) = try await people()
        let caller = route.access == .admin ? try service.admin : owner
        let tooLarge = try await call(caller, route, body: Self.paddedBody(65_537))
        #expect(tooLarge.status == 413 && tooLarge.code == "PAYLOAD_TOO_LARGE")
        // A list of the wrong type is refused wherever bodies are read, so nothing is made by the one that fits.
        #expect(try await call(caller, route, body: Self.paddedBody(65_536)).code == "INVALID_REQUEST")
    }

    /// An array, which no route takes, of this many bytes.
    private static func paddedBody(_ bytes: Int) -> String { "[" + String(repeating: " ", count: bytes - 2) + "]" }

    @Test("headers over 16 KiB are refused", arguments: ContractRoute.all)
    func headerSize(_ route: ContractRoute) async throws {
        let answer = try await call(try service.admin, route, headers: ["X-Padding": String(repeating: "x", count: 17_000)])
        #expect(answer.status == 431)
        #expect(answer[header: "content-type"] == "application/problem+json")
    }

    @Test("an expectation that nobody can meet and a wish for a proxy are refused as problems")
    func notHere() async throws {
        let guest = try service.guest
        let expectation = try await guest.call("POST", "/users", body: "{}", headers: ["Expect": "miracles"])
        #expect(expectation.status == 417 && expectation.code == "EXPECTATION_FAILED")
        let bytes = ByteBuffer(string: "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
        let proxy = try await guest.pool.send(bytes)
        #expect(proxy.status == 501 && proxy.code == "NOT_IMPLEMENTED")
    }

    @Test("an id in a path is a positive integer, a cursor one that was given, a limit from 1 to 100")
    func pathsAndQueries() async throws {
        let (owner, _) = try await people()
        let admin = try service.admin
        let paths = [
            "/users/0", "/users/-1", "/users/x", "/users/1.0", "/users/9223372036854775808", "/users/01", "/users/%00", "/products/0",
            "/products/abc",
            "/coupons/-5", "/orders/1e3", "/payments/%2F", "/users/1/orders?limit=0", "/users/1/orders?limit=101",
            "/users/1/orders?limit=x",
            "/users/1/orders?cursor=nonsense", "/users/1/orders?cursor=", "/users/1/coupons?status=LOST", "/products?sort=name",
            "/products?minPrice=-1",
            "/products?maxPrice=99999999999999999999", "/products?inStock=maybe", "/coupons?limit=1&limit=2", "/products?q=%FF",
        ]
        for path in paths {
            for caller in [owner, admin] where caller.id == 0 || path.hasPrefix("/users/1/") {
                let answer = try await caller.get(path)
                #expect(answer.status == 400 && answer.code == "INVALID_REQUEST", "\(path): \(answer.status) \(answer.text)")
            }
        }
    }

    @Test("the document of the API names every route of this table")
    func document() async throws {
        let answer = try await service.guest.get("/openapi.json").expect(200)
        #expect(try answer.string("openapi").hasPrefix("3.1"))
        guard case .object(let paths) = try answer.value("paths") else { throw HTTPAnswer.NotAsExpected(description: "no paths") }
        for route in ContractRoute.all {
            let wanted = route.path.split(separator: "/")
            let found = paths.members.contains { member in
                let parts = member.name.replacingOccurrences(of: "/api/v1", with: "").split(separator: "/")
                return parts.count == wanted.count && zip(parts, wanted).allSatisfy { $0.hasPrefix("{") && $1 == "1" || $0 == $1 }
                    && member.value[route.method.lowercased()] != nil
            }
            #expect(found, "\(route.testDescription)")
        }
    }
}

extension Data {
    fileprivate var base64URL: String {
        base64EncodedString().replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_").replacingOccurrences(
            of: "=", with: "")
    }
}
