import NIOCore
import TestSupport
import Testing

@testable import HTTPServer

private let shop = "https://shop.example"
private let exposed = "access-control-expose-headers"
private let allowed = "access-control-allow-origin"

private func policy(_ origins: String...) throws -> CrossOriginPolicy {
    try CrossOriginPolicy(origins: origins, exposing: ["ETag", "Location"])
}

@Suite("Pages of other origins")
struct CrossOriginTests {
    @Test(
        "an origin is taken only in the form in which browsers send it",
        arguments: [
            ("https://shop.example", nil), ("http://localhost:3000", nil), ("https://xn--9t4b11yi5a.example", nil),
            ("http://[::1]:8080", nil),
            ("http://127.0.0.1", nil), ("https://a_b.example:8443", nil), ("capacitor://localhost", nil),
            ("chrome-extension://abcdef", nil),
            ("shop.example", "scheme"), ("https://shop.example/", "path"), ("https://shop.example/a", "path"),
            ("https://shop.example?", "path"),
            ("https://Shop.example", "lowercase"), ("HTTPS://shop.example", "scheme in lowercase"),
            ("https://shop.example:443", "default port 443"),
            ("http://shop.example:80", "default port 80"), ("https://shop.example:80", nil), ("https://shop.example:", "port is malformed"),
            ("https://shop.example:0", "port is malformed"), ("https://shop.example:65536", "port is malformed"),
            ("https://shop.example:0443", "port is malformed"), ("https://:443", "host is malformed"), ("https://", "host is malformed"),
            ("https://user@shop.example", "host is malformed"), ("https://*.shop.example", "host is malformed"),
            ("https://[::1", "host is malformed"),
            ("https://[zz::1]", "host is malformed"), ("https://[::1]x", "host is malformed"), ("https://shop.example\r\nx: y", "ASCII"),
            ("https://상점.example", "xn--"), ("null", "null"), ("", "scheme"), ("1http://a", "scheme"),
        ] as [(String, String?)])
    func form(origin: String, reason: String?) {
        do throws(CrossOriginPolicy.InvalidOrigin) {
            _ = try CrossOriginPolicy(origins: [origin], exposing: [])
            #expect(reason == nil, "\(origin) is taken")
        } catch {
            #expect(reason.map { error.reason.contains($0) } == true && error.origin == origin, "\(error)")
        }
    }

    @Test("* stands alone, and there is a bound")
    func combination() throws {
        #expect(try policy("*").origins == .any)
        #expect(throws: CrossOriginPolicy.InvalidOrigin.self) { try policy("*", shop) }
        #expect(throws: CrossOriginPolicy.InvalidOrigin.self) { try policy(shop, "*") }
        let many = (1...64).map { "https://\($0).example" }
        #expect(try CrossOriginPolicy(origins: many, exposing: []).origins == .listed(many))
        #expect(throws: CrossOriginPolicy.InvalidOrigin.self) { try CrossOriginPolicy(origins: many + [shop], exposing: []) }
        #expect(throws: CrossOriginPolicy.InvalidOrigin.self) { try CrossOriginPolicy(origins: [], exposing: []) }
    }

    @Test("every request on a connection is answered for its own origin, also pipelined, and others see what may vary")
    func eachRequest() async throws {
        let policy = try policy(shop, "http://127.0.0.1:3000")
        try await withClient(configure: { $0.crossOrigin = policy }) { port in
            let client = try RawHTTPClient(port: port)
            let origins: [String?] = [shop, nil, "http://127.0.0.1:3000", "https://shop.example.evil", "https://shop.exampl", shop]
            try client.send(origins.map { origin in .get("/", "Origin: \(origin ?? "null")") }.joined())
            for origin in origins {
                let answer = try client.readResponse()
                let isAllowed = origin == shop || origin == "http://127.0.0.1:3000"
                #expect(answer[allowed] == (isAllowed ? origin : nil), "\(origin ?? "none")")
                #expect(answer[exposed] == (isAllowed ? "ETag, Location" : nil))
                #expect(answer["vary"] == "origin" && answer["date"]?.hasSuffix("GMT") == true)
                #expect(answer.body == "GET / []")
            }
            let head = try client.exchange(
                "HEAD / HTTP/1.1\r\nhost: test\r\nORIGIN:   \(shop)  \r\nConnection: close\r\n\r\n", isHead: true)
            #expect(head[allowed] == shop && head["connection"] == "close" && head["content-length"] == "9")
            #expect(try client.readsEnd())
        }
    }

    @Test("without the feature no answer has a field about it")
    func off() async throws {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            let answer = try client.exchange(.get("/", "Origin: \(shop)"))
            #expect(answer.headers.map(\.name) == ["content-type", "content-length", "x-request-id", "date"])
        }
    }

    @Test("with * the answer is the same for everybody")
    func any() async throws {
        let policy = try policy("*")
        try await withClient(configure: { $0.crossOrigin = policy }) { port in
            let client = try RawHTTPClient(port: port)
            for request in [String.get("/"), .get("/", "Origin: https://any.example"), .get("/", "Origin: null")] {
                let answer = try client.exchange(request)
                #expect(answer[allowed] == "*" && answer[exposed] == "ETag, Location" && answer["vary"] == nil)
            }
        }
    }

    @Test(
        "what the server answers by itself is for the origin too, wherever the fault is behind the field",
        arguments: [
            ("GET / HTTP/1.1\r\nOrigin: \(shop)\r\n\r\n", 400), ("GET / HTTP/1.1\r\nOrigin: \(shop)\r\nHost: t\r\nA : b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: t\r\nOrigin: \(shop)\r\nExpect: x\r\n\r\n", 417),
            ("CONNECT t:1 HTTP/1.1\r\nHost: t\r\nOrigin: \(shop)\r\n\r\n", 501),
            ("POST / HTTP/1.1\r\nHost: t\r\nOrigin: \(shop)\r\nContent-Length: 65537\r\n\r\n", 413),
            ("POST / HTTP/1.1\r\nHost: t\r\nOrigin: \(shop)\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: t\r\nOrigin: \(shop)\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n", 413),
            ("GET / HTTP/1.1\r\nHost: t\r\nOrigin: \(shop)\r\nA: " + String(repeating: "a", count: 16_384), 431),
            ("GET /fails HTTP/1.1\r\nHost: t\r\nOrigin: \(shop)\r\n\r\n", 500),
        ])
    func refusals(request: String, status: Int) async throws {
        let policy = try policy(shop)
        try await withServer(
            configure: { $0.crossOrigin = policy },
            responder: { request in
                request.path == "/fails" ? .task { throw HTTPRefusal.draining } : .now(.text("ok"))
            }
        ) { _, port in
            try await offPool {
                for before in ["", String.get("/")] {
                    let client = try RawHTTPClient(port: port)
                    try client.send(before + request)
                    if !before.isEmpty { #expect(try client.readResponse()[allowed] == nil) }
                    let answer = try client.readResponse()
                    #expect(answer.status == status && answer[allowed] == shop && answer["vary"] == "origin", "\(answer.headers)")
                }
            }
        }
    }

    @Test(
        "a request that takes too long is told so for its origin",
        arguments: [
            "GET / HTTP/1.1\r\nOrigin: \(shop)\r\n", "POST / HTTP/1.1\r\nHost: t\r\nOrigin: \(shop)\r\nContent-Length: 5\r\n\r\nab",
        ])
    func timeouts(request: String) async throws {
        let policy = try policy(shop)
        try await withClient(configure: {
            $0.crossOrigin = policy
            if request.hasPrefix("GET") { $0.headTimeout = .seconds(3) } else { $0.bodyTimeout = .milliseconds(100) }
        }) { port in
            let client = try RawHTTPClient(port: port)
            try client.send(request)
            let answer = try client.readResponse()
            #expect(answer.status == 408 && answer[allowed] == shop)
        }
    }

    @Test("at the limit of requests the 429 can be read by the page, and a preflight is still let through")
    func inFlightLimit() async throws {
        let (gate, policy) = (Gate(), try policy(shop))
        try await withServer(
            configure: {
                $0.maximumRequestsInFlight = 1
                $0.crossOrigin = policy
            },
            responder: { request in
                guard request.path == "/held" else { return .now(.text("\(policy.isPreflight(request))")) }
                return .task {
                    await gate.pass()
                    return .text("held")
                }
            }
        ) { _, port in
            try await offPool {
                let holder = try RawHTTPClient(port: port)
                try holder.send(.get("/held", "Origin: \(shop)"))
                try waitUntil { gate.entered == 1 }
                let client = try RawHTTPClient(port: port)
                let refused = try client.exchange(.get("/", "Origin: \(shop)"))
                #expect(refused.status == 429 && refused[allowed] == shop && refused["retry-after"] == "1")
                let preflight = "OPTIONS / HTTP/1.1\r\nHost: t\r\nOrigin: \(shop)\r\nAccess-Control-Request-Method: POST\r\n\r\n"
                let answer = try client.exchange(preflight)
                #expect(answer.status == 200 && answer.body == "true" && answer[allowed] == shop)
                #expect(try client.exchange(preflight.replacing("shop", with: "evil")).body == "false")
                #expect(try client.exchange(preflight.replacing("Access-Control-Request-Method", with: "A")).body == "false")
                gate.open()
                #expect(try holder.readResponse()[allowed] == shop)
            }
        }
    }

    @Test("a connection beyond the limit is answered for the origin of its request")
    func connectionLimit() async throws {
        let policy = try policy(shop)
        try await withServer(configure: {
            $0.maximumConnections = 1
            $0.crossOrigin = policy
            // Longer than a busy machine needs for a request.
            $0.lingerTimeout = .seconds(60)
        }) { server, port in
            try await offPool {
                let first = try RawHTTPClient(port: port)
                _ = try first.exchange(.get("/"))
                let excess = try RawHTTPClient(port: port)
                let answer = try excess.exchange(.get("/", "Origin: \(shop)"))
                #expect(answer.status == 503 && answer[allowed] == shop && answer["connection"] == "close")
                excess.finishWriting()
                #expect(try excess.readsEnd())
            }
            #expect(server.statistics.refusedConnections == 1)
        }
    }

    @Test("who sends a part of a head beyond the limit is answered when the time to linger is over, and who sends nothing is not")
    func connectionLimitWithoutRequest() async throws {
        let policy = try policy(shop)
        try await withServer(configure: {
            $0.maximumConnections = 1
            $0.crossOrigin = policy
            $0.lingerTimeout = .seconds(1)
        }) { _, port in
            try await offPool {
                let first = try RawHTTPClient(port: port)
                _ = try first.exchange(.get("/"))
                let silent = try RawHTTPClient(port: port)
                let late = try partOfHead(port)
                #expect(late.status == 503 && late[allowed] == shop)
                #expect(try silent.readsEnd())
            }
        }
    }

    /// The answer to a part of a head; sends it again where it came later than the time to linger, as it may on a busy machine.
    private func partOfHead(_ port: Int) throws -> RawHTTPResponse {
        for _ in 0..<20 {
            do {
                let slow = try RawHTTPClient(port: port)
                try slow.send("GET / HTTP/1.1\r\nOrigin: \(shop)\r\n")
                return try slow.readResponse()
            } catch RawHTTPClient.Failure.closedByServer, RawHTTPClient.Failure.socket {
                continue
            }
        }
        throw RawHTTPClient.Failure.closedByServer
    }
}
