import HTTPServer
import NIOHTTP1
import Testing

@Suite("Routing")
struct RouterTests {
    private static let table: [(method: HTTPMethod, template: String, name: String)] = [
        (.GET, "/", "root"),
        (.GET, "/products", "list"), (.POST, "/products", "create"),
        (.GET, "/products/top", "top"), (.GET, "/products/{productId}", "product"), (.PATCH, "/products/{productId}", "change"),
        (.GET, "/users/{userId}/coupons/{code}", "coupon"), (.POST, "/users/{userId}/balance/charges", "charge"),
        (.GET, "/a/b/c", "literal"), (.GET, "/a/{x}/d", "parameter"),
        (.DELETE, "/only", "delete"), (.HEAD, "/own", "head"), (.GET, "/own", "get"), (.OPTIONS, "/own", "options"),
    ]
    private let router = Router(routes: table.map { ($0.method, $0.template) })

    @Test(
        "the route and its parameters are found",
        arguments: [
            (.GET, "/", "root", [:]), (.GET, "/products", "list", [:]), (.POST, "/products", "create", [:]),
            (.GET, "/products/top", "top", [:]),
            (.GET, "/products/7", "product", ["productId": "7"]), (.PATCH, "/products/7", "change", ["productId": "7"]),
            (.GET, "/products/topx", "product", ["productId": "topx"]),
            (.GET, "/users/1/coupons/%EC%BF%A0%2Fx", "coupon", ["userId": "1", "code": "쿠/x"]),
            (.POST, "/users/12/balance/charges", "charge", ["userId": "12"]),
            (.GET, "/a/b/c", "literal", [:]), (.GET, "/a/b/d", "parameter", ["x": "b"]), (.GET, "/a/x/d", "parameter", ["x": "x"]),
            (.HEAD, "/products", "list", [:]), (.HEAD, "/own", "head", [:]), (.OPTIONS, "/own", "options", [:]),
            (.GET, "/products/a+b", "product", ["productId": "a+b"]), (.GET, "/products/...", "product", ["productId": "..."]),
        ] as [(HTTPMethod, String, String, [String: String])]
    )
    func found(method: HTTPMethod, path: String, route: String, parameters: [String: String]) {
        guard case .found(let found, let values) = router.match(method: method, path: path) else {
            Issue.record("no route for \(method) \(path)")
            return
        }
        #expect(Self.table[found].name == route)
        for (name, value) in parameters { #expect(values[name] == value) }
        #expect(values["unknown"] == nil)
    }

    @Test(
        "what no template has is not found",
        arguments: [
            "", "*", "products", "/x", "/products/", "//products", "/products//", "/products/7/", "/products/7/x", "/users//coupons/1",
            "/users/1",
            "/users/1/coupons", "/users/1/coupons/", "/products/.", "/products/..", "/products/%2e%2E", "/products/.%2e", "/PRODUCTS",
            "/a/b", "/a/x/c",
            "//", "/products/top/", "/product", "/productsx", "/users/../products",
        ]
    )
    func notFound(path: String) {
        guard case .notFound = router.match(method: .GET, path: path) else {
            Issue.record("something is found for \(path)")
            return
        }
    }

    @Test(
        "a path with other methods names them",
        arguments: [
            (.DELETE, "/products", [.GET, .HEAD, .POST]), (.POST, "/products/top", [.GET, .HEAD]),
            (.POST, "/products/7", [.GET, .HEAD, .PATCH]),
            (.GET, "/only", [.DELETE]), (.HEAD, "/only", [.DELETE]), (.OPTIONS, "/products", [.GET, .HEAD, .POST]),
            (.POST, "/own", [.HEAD, .GET, .OPTIONS]),
        ] as [(HTTPMethod, String, [HTTPMethod])]
    )
    func methodNotAllowed(method: HTTPMethod, path: String, allowed: [HTTPMethod]) {
        guard case .methodNotAllowed(let methods) = router.match(method: method, path: path) else {
            Issue.record("\(method) \(path) is not refused for its method")
            return
        }
        #expect(methods == allowed)
    }

    @Test(
        "a malformed escape in a parameter is malformed, not missing",
        arguments: ["%", "%2", "%zz", "%C3%28", "%FF", "a%", "%C0%80", "%ED%A0%80"])
    func malformed(parameter: String) {
        guard case .malformedPath = router.match(method: .GET, path: "/products/\(parameter)") else {
            Issue.record("\(parameter) is accepted")
            return
        }
    }

    @Test(
        "a numeric parameter is plain decimal that fits",
        arguments: [
            ("0", 0), ("7", 7), ("9223372036854775807", .max), ("9223372036854775808", nil), ("99999999999999999999", nil), ("-1", nil),
            ("+1", nil),
            ("01", nil), ("1a", nil), ("1.0", nil), ("%31", nil), ("１", nil), ("0x1", nil),
        ] as [(String, Int64?)]
    )
    func integers(text: String, expected: Int64?) {
        guard case .found(_, let values) = router.match(method: .GET, path: "/products/\(text)") else {
            Issue.record("no route for \(text)")
            return
        }
        #expect(values.int64("productId") == expected)
        #expect(values.int64("other") == nil)
    }
}
