import EventLoops
import HTTPServer
import Logging
import NIOCore
import Testing

@testable import API

@Suite("Listeners and their routes")
struct ListenerTests {
    private static let forOperatorsAlone: Set = [
        "createUser", "createProduct", "updateProduct", "createCoupon", "updateCoupon", "refundPayment", "listEvents", "retryEvent",
        "retryEvents", "listAdminLog", "getReadiness", "getMetrics", "watchService", "getConsole", "getConsoleStyle", "getConsoleScript",
        "getConsoleIcon", "listWinners", "grantCoupons", "listGrants", "getGrant",
    ]
    private static let forClientsAlone: Set = ["claimCoupon", "placeOrder", "checkout", "payOrder"]
    private static let origin = "https://shop.example"

    /// Sends requests to the API of a fixture, with or without a listener for operators.
    private struct Rig {
        let app: ApplicationFixture
        let api: FirstcomeAPI

        init(_ app: ApplicationFixture, apart: Bool, crossOrigin: CrossOriginPolicy? = nil) {
            self.app = app
            api = FirstcomeAPI(
                services: app.services, tokenKey: app.key, eventLoopGroup: app.group, servesOperatorsApart: apart, crossOrigin: crossOrigin,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        }

        func send(_ method: String, _ path: String, toOperators: Bool = false, _ fields: [(name: String, value: String)] = []) async throws
            -> HTTPResponse
        {
            let target = path.replacing(#/\{[^}]+\}/#, with: "1")
            let request = try #require(HTTPRequest(method: method, target: target, fields: fields, eventLoop: app.loop))
            let responder = toOperators ? api.operatorsResponder(on: app.loop) : api.responder(on: app.loop)
            return try await Task(executorPreference: app.executor) { try await responder(request).response() }.value
        }

        /// Whether a listener has the route: otherwise it has no route of this path, or none with this method.
        func serves(_ route: Endpoint, toOperators: Bool) async throws -> Bool {
            let answer = try await send(route.method.rawValue, route.template, toOperators: toOperators)
            if answer.code == "METHOD_NOT_ALLOWED" {
                #expect(answer.header("allow")?.contains(route.method.rawValue) == false, "\(route.operationID)")
                return false
            }
            return answer.code != "NOT_FOUND"
        }
    }

    @Test("with a listener for operators, clients find no route of admins, and operators none of users alone")
    func apart() async throws {
        try await ApplicationFixture.run { app in
            let rig = Rig(app, apart: true)
            for route in RouteTable.routes.map(\.endpoint) {
                let toClients = try await rig.serves(route, toOperators: false)
                let toOperators = try await rig.serves(route, toOperators: true)
                #expect(toClients == !Self.forOperatorsAlone.contains(route.operationID), "\(route.operationID) for clients")
                #expect(toOperators == !Self.forClientsAlone.contains(route.operationID), "\(route.operationID) for operators")
            }
            #expect(try await rig.send("OPTIONS", "*").header("allow") == "GET, HEAD, POST, OPTIONS")
            #expect(try await rig.send("OPTIONS", "*", toOperators: true).header("allow") == "GET, HEAD, POST, PATCH, OPTIONS")
        }
    }

    @Test("without one, everybody finds every route")
    func together() async throws {
        try await ApplicationFixture.run { app in
            let rig = Rig(app, apart: false)
            for route in RouteTable.routes.map(\.endpoint) {
                let isServed = try await rig.serves(route, toOperators: false)
                #expect(isServed, "\(route.operationID)")
            }
            #expect(try await rig.send("OPTIONS", "*").header("allow") == "GET, HEAD, POST, PATCH, OPTIONS")
        }
    }

    @Test("the metrics add up what both listeners answered")
    func counters() async throws {
        try await ApplicationFixture.run { app in
            let rig = Rig(app, apart: true)
            for toOperators in [false, true, true] {
                _ = try await rig.send("GET", "/healthz", toOperators: toOperators)
                _ = try await rig.send("GET", "/nowhere", toOperators: toOperators)
            }
            _ = try await rig.send("GET", "/metrics")
            let text = String(buffer: try await rig.send("GET", "/metrics", toOperators: true).body)
            func total(_ route: String) -> Int {
                text.split(separator: "\n").filter { $0.hasPrefix("firstcome_http_requests_total{") && $0.contains("route=\"\(route)\"") }
                    .reduce(0) { $0 + (Int($1.split(separator: " ").last ?? "") ?? 0) }
            }
            #expect(total("/healthz") == 3 && total("none") == 4, "\(text)")
        }
    }

    @Test(
        "a preflight names exactly the methods of its path, without a token",
        arguments: Array(Set(RouteTable.routes.map(\.endpoint.template))).sorted())
    func preflight(template: String) async throws {
        try await ApplicationFixture.run { app in
            let rig = Rig(app, apart: false, crossOrigin: try CrossOriginPolicy(ofServiceFor: [Self.origin]))
            let fields = [("Origin", Self.origin), ("Access-Control-Request-Method", "POST")]
            let answer = try await rig.send("OPTIONS", template, fields.map { (name: $0.0, value: $0.1) })
            var methods = Set(RouteTable.routes.map(\.endpoint).filter { $0.template == template }.map(\.method.rawValue))
            if methods.contains("GET") { methods.insert("HEAD") }
            #expect(answer.status == 204 && answer.body.readableBytes == 0)
            #expect(Set(try #require(answer.header("access-control-allow-methods")).split(separator: ", ").map(String.init)) == methods)
            let named = Set(
                try #require(answer.header("access-control-allow-headers")).lowercased().split(separator: ", ").map(String.init))
            for name in ["authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "x-request-id", "traceparent"] {
                #expect(named.contains(name), "\(name)")
            }
            #expect(answer.header("access-control-max-age") == "7200")
        }
    }

    @Test(
        "OPTIONS is refused as ever: without the feature, of another origin, and where it is no preflight",
        arguments: [
            (nil, [("Origin", origin), ("Access-Control-Request-Method", "POST")]),
            (origin, [("Origin", "https://other.example"), ("Access-Control-Request-Method", "POST")]),
            (origin, [("Access-Control-Request-Method", "POST")]), (origin, [("Origin", origin)]), (origin, []),
        ] as [(String?, [(String, String)])])
    func noPreflight(allowed: String?, fields: [(String, String)]) async throws {
        try await ApplicationFixture.run { app in
            let rig = Rig(app, apart: false, crossOrigin: try allowed.map { try CrossOriginPolicy(ofServiceFor: [$0]) })
            let answer = try await rig.send("OPTIONS", "/api/v1/products", fields.map { (name: $0.0, value: $0.1) })
            #expect(answer.status == 405 && answer.header("allow") == "POST, GET, HEAD")
            #expect(answer.header("access-control-allow-methods") == nil)
        }
    }

    @Test("a preflight to a path without a route is 404")
    func unknownPath() async throws {
        try await ApplicationFixture.run { app in
            let rig = Rig(app, apart: false, crossOrigin: try CrossOriginPolicy(ofServiceFor: ["*"]))
            let fields = [(name: "Origin", value: Self.origin), (name: "Access-Control-Request-Method", value: "GET")]
            #expect(try await rig.send("OPTIONS", "/nowhere", fields).status == 404)
            #expect(try await rig.send("OPTIONS", "/healthz", fields).status == 204)
        }
    }
}
