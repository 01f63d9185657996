import TestSupport
import Testing

@testable import HTTPServer

@Suite("Routing")
struct RouterTests {
    private static let table: [(method: HTTPMethod, template: String, name: String)] = [
        (.get, "/", "root"),
        (.get, "/products", "list"), (.post, "/products", "create"),
        (.get, "/products/top", "top"), (.get, "/products/{productId}", "product"), (.patch, "/products/{productId}", "change"),
        (.get, "/users/{userId}/coupons/{code}", "coupon"), (.post, "/users/{userId}/balance/charges", "charge"),
        (.get, "/a/b/c", "literal"), (.get, "/a/{x}/d", "parameter"),
        (.delete, "/only", "delete"), (.head, "/own", "head"), (.get, "/own", "get"), (.options, "/own", "options"),
    ]
    private let router = Router(routes: table.map { ($0.method, $0.template) })

    private func match(_ method: HTTPMethod, _ path: String) -> Router.Match {
        var path = path
        return path.withUTF8 { router.match(method, UnsafeRawBufferPointer($0)) }
    }

    @Test(
        "the route and its parameters are found",
        arguments: [
            (.get, "/", "root", [:]), (.get, "/products", "list", [:]), (.post, "/products", "create", [:]),
            (.get, "/products/top", "top", [:]),
            (.get, "/products/7", "product", ["productId": "7"]), (.patch, "/products/7", "change", ["productId": "7"]),
            (.get, "/products/topx", "product", ["productId": "topx"]),
            (.get, "/users/1/coupons/%EC%BF%A0%2Fx", "coupon", ["userId": "1", "code": "쿠/x"]),
            (.post, "/users/12/balance/charges", "charge", ["userId": "12"]),
            (.get, "/a/b/c", "literal", [:]), (.get, "/a/b/d", "parameter", ["x": "b"]), (.get, "/a/x/d", "parameter", ["x": "x"]),
            (.head, "/products", "list", [:]), (.head, "/own", "head", [:]), (.options, "/own", "options", [:]),
            (.get, "/products/a+b", "product", ["productId": "a+b"]), (.get, "/products/...", "product", ["productId": "..."]),
        ] as [(HTTPMethod, String, String, [String: String])]
    )
    func found(method: HTTPMethod, path: String, route: String, parameters: [String: String]) {
        var path = path
        guard case .found(let found, let values) = match(method, path) else {
            Issue.record("no route for \(method) \(path)")
            return
        }
        #expect(Self.table[found].name == route)
        let names = Router.parameterNames(of: Self.table[found].template)
        #expect(Set(names) == Set(parameters.keys) && values.count == names.count)
        for (index, name) in names.enumerated() {
            let text = path.withUTF8 { PercentEncoding.decode(values.bytes(index, of: UnsafeRawBufferPointer($0))) }
            #expect(text == parameters[name])
        }
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
        guard case .notFound = match(.get, path) else {
            Issue.record("something is found for \(path)")
            return
        }
    }

    @Test(
        "a path with other methods names them",
        arguments: [
            (.delete, "/products", [.get, .head, .post]), (.post, "/products/top", [.get, .head]),
            (.post, "/products/7", [.get, .head, .patch]),
            (.get, "/only", [.delete]), (.head, "/only", [.delete]), (.options, "/products", [.get, .head, .post]),
            (.post, "/own", [.head, .get, .options]),
        ] as [(HTTPMethod, String, [HTTPMethod])]
    )
    func methodNotAllowed(method: HTTPMethod, path: String, allowed: [HTTPMethod]) {
        guard case .methodNotAllowed(let methods) = match(method, path) else {
            Issue.record("\(method) \(path) is not refused for its method")
            return
        }
        #expect(methods == allowed)
    }

    @Test(
        "a malformed escape in a parameter is malformed, not missing",
        arguments: ["%", "%2", "%zz", "%C3%28", "%FF", "a%", "%C0%80", "%ED%A0%80"])
    func malformed(parameter: String) {
        guard case .malformedPath = match(.get, "/products/\(parameter)") else {
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
        var digits = text
        #expect(digits.withUTF8 { PathParameters.int64(UnsafeRawBufferPointer($0)) } == expected)
    }

    @Test("what was matched before is matched alike, whatever other paths were looked up in between")
    func recentMatches() {
        var matches = RecentMatches(router)
        func words(_ match: Router.Match, _ path: String) -> String {
            var path = path
            switch match {
            case .found(let place, let values):
                let texts = (0..<values.count).map { index in
                    path.withUTF8 { PercentEncoding.decode(values.bytes(index, of: UnsafeRawBufferPointer($0))) ?? "" }
                }
                return "\(place) \(texts)"
            case .methodNotAllowed(let methods): return "\(methods)"
            case .notFound: return "none"
            case .malformedPath: return "malformed"
            }
        }
        var random = SeededGenerator()
        let methods: [HTTPMethod] = [.get, .post, .head, .delete]
        for _ in 0..<20_000 {
            let id = UInt64.random(in: 0...40, using: &random) * UInt64.random(in: 1...90_000_000_000_000_000, using: &random)
            let paths = [
                "/products/\(id)", "/products/top", "/users/\(id)/coupons/%EC%BF%A0", "/users/\(id)/balance/charges", "/a/\(id)/d",
                "/a/b/d", "/products/%zz",
            ]
            let (method, path) = (methods[Int.random(in: 0..<4, using: &random)], paths[Int.random(in: 0..<paths.count, using: &random)])
            var bytes = path
            let recent = bytes.withUTF8 { matches.match(method, UnsafeRawBufferPointer($0)) }
            #expect(words(recent, path) == words(match(method, path), path), "\(random) \(method) \(path)")
        }
    }
}
