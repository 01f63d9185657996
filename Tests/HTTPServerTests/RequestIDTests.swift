import HTTPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

@Suite("Request ids")
struct RequestIDTests {
    private static func isGenerated(_ id: String?) -> Bool {
        guard let id else { return false }
        return id.utf8.count == 24 && id.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
    }

    @Test("pipelined requests get ids that count up on their connection, and each handler knows its own")
    func pipelined() async throws {
        let seen = Mutex<[String]>([])
        let handler: HTTPHandler = { request in
            seen.withLock { $0.append(request.id.description) }
            return .text("ok")
        }
        try await withClient(handler: handler) { port in
            var connections: Set<Substring> = []
            for _ in 0..<3 {
                let client = try RawHTTPClient(port: port)
                try client.send(.get("/1") + .post("/2", "body") + .get("/3"))
                let ids = try (0..<3).map { _ in try client.readResponse()["x-request-id"] ?? "" }
                #expect(ids.allSatisfy(Self.isGenerated), "\(ids)")
                #expect(ids.map { $0.dropFirst(16) } == ["00000001", "00000002", "00000003"])
                #expect(Set(ids.map { $0.prefix(16) }).count == 1)
                connections.insert(ids.first?.prefix(16) ?? "")
                #expect(seen.withLock { $0 } == ids)
                seen.withLock { $0 = [] }
            }
            #expect(connections.count == 3)
        }
    }

    @Test("late, chunked, bodyless and HTTP/1.0 answers have an id too")
    func forms() async throws {
        let handler: HTTPHandler = { request in
            if request.path == "/late" { await Task.yield() }
            return HTTPResponse(status: request.path == "/304" ? 304 : 200, body: ByteBuffer(string: "x"))
        }
        try await withClient(handler: handler) { port in
            let requests: [(request: String, isHead: Bool)] = [
                (.get("/late"), false), (.get("/304"), false), ("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n", true),
                ("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n", false),
                ("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", false),
                ("GET / HTTP/1.0\r\n\r\n", false), ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false),
                (.get("/", "Connection: close"), false),
            ]
            for (request, isHead) in requests {
                let response = try RawHTTPClient(port: port).exchange(request, isHead: isHead)
                #expect(Self.isGenerated(response["x-request-id"]), "\(request): \(response.headers)")
                let given = request.replacing("\r\n\r\n", with: "\r\nX-Request-ID:  Given/1 \r\n\r\n", maxReplacements: 1)
                let second = try RawHTTPClient(port: port).exchange(given, isHead: isHead)
                #expect(second["x-request-id"] == "Given/1", "\(request): \(second.headers)")
                #expect(second.headers.map(\.name) == response.headers.map(\.name))
            }
        }
    }

    @Test(
        "a client's valid id is taken over for its request alone",
        arguments: ["a", String(repeating: "x", count: 128), "0aZ-._~+/=:@", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"])
    func given(id: String) async throws {
        let handler: HTTPHandler = { .text($0.id.description) }
        try await withClient(handler: handler) { port in
            let client = try RawHTTPClient(port: port)
            let response = try client.exchange(.get("/", "X-Request-Id: \(id)"))
            #expect(response["x-request-id"] == id && response.body == id)
            let next = try client.exchange(.get("/"))
            #expect(Self.isGenerated(next["x-request-id"]) && next.body == next["x-request-id"])
        }
    }

    @Test(
        "an id that is empty, too long, repeated or has other characters is ignored",
        arguments: [
            ["X-Request-Id:"], ["X-Request-Id: a b"], ["X-Request-Id: \"a\""], ["X-Request-Id: a,b"], ["X-Request-Id: a<b"],
            ["X-Request-Id: \u{E9}"], ["X-Request-Id: a\\b"], ["X-Request-Id: a%0d"], ["X-Request-Id: a;b"],
            ["X-Request-Id: " + String(repeating: "x", count: 129)], ["X-Request-Id: a", "x-request-id: a"],
            ["X-Request-Id: a", "X-Request-Id: b", "X-Request-Id: c"],
        ])
    func invalid(fields: [String]) async throws {
        try await withClient { port in
            let request = "GET / HTTP/1.1\r\nHost: test\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
            let response = try RawHTTPClient(port: port).exchange(request)
            #expect(response.status == 200 && Self.isGenerated(response["x-request-id"]))
        }
    }

    @Test(
        "what the server refuses by itself has an id, and the client's own where its field was read",
        arguments: [
            ("GARBAGE\r\n\r\n", 400, nil), ("GET / HTTP/1.1\r\nX-Request-Id: mine\r\n\r\n", 400, "mine"),
            ("GET / HTTP/1.1\r\nHost: test\r\nX-Request-Id: mine\r\n bad\r\n\r\n", 400, "mine"),
            ("GET / HTTP/1.1\r\n bad\r\nHost: test\r\nX-Request-Id: mine\r\n\r\n", 400, nil),
            ("POST / HTTP/1.1\r\nHost: test\r\nX-Request-Id: mine\r\nContent-Length: 99999999\r\n\r\n", 413, "mine"),
            ("POST / HTTP/1.1\r\nHost: test\r\nX-Request-Id: mine\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400, "mine"),
            ("POST / HTTP/1.1\r\nHost: test\r\nX-Request-Id: mine\r\nExpect: more\r\nContent-Length: 1\r\n\r\n", 417, "mine"),
            ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nX-Request-Id: mine\r\n\r\n", 501, "mine"),
            ("GET / HTTP/1.1\r\nHost: test\r\nLong: " + String(repeating: "x", count: 20_000), 431, nil),
        ] as [(String, Int, String?)])
    func refused(request: String, status: Int, id: String?) async throws {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            // A request before it, so that the refused one is the second of its connection.
            _ = try client.exchange(.get("/"))
            let response = try client.exchange(request)
            #expect(response.status == status)
            if let id {
                #expect(response["x-request-id"] == id)
            } else {
                #expect(Self.isGenerated(response["x-request-id"]) && response["x-request-id"]?.hasSuffix("00000002") == true)
            }
        }
    }

    @Test("timeouts, limits and failing handlers are answered with an id")
    func ownAnswers() async throws {
        try await withClient(configure: { $0.headTimeout = .seconds(3) }) { port in
            let client = try RawHTTPClient(port: port)
            try client.send("GET / HT")
            let response = try client.readResponse()
            #expect(response.status == 408 && Self.isGenerated(response["x-request-id"]))
        }
        try await withClient(configure: { $0.bodyTimeout = .milliseconds(500) }) { port in
            let client = try RawHTTPClient(port: port)
            try client.send("POST / HTTP/1.1\r\nHost: test\r\nX-Request-Id: slow\r\nContent-Length: 2\r\n\r\n1")
            let response = try client.readResponse()
            #expect(response.status == 408 && response["x-request-id"] == "slow")
        }
        try await withClient(configure: { $0.maximumConnections = 0 }) { port in
            let response = try RawHTTPClient(port: port).readResponse()
            #expect(response.status == 503 && Self.isGenerated(response["x-request-id"]))
        }
        try await withClient(configure: { $0.maximumRequestsInFlight = 0 }) { port in
            let response = try RawHTTPClient(port: port).exchange(.get("/", "X-Request-Id: busy"))
            #expect(response.status == 429 && response["x-request-id"] == "busy")
        }
        struct Broken: Error {}
        try await withServer(responder: { _ in .task { throw Broken() } }) { _, port in
            let response = try await offPool { try RawHTTPClient(port: port).exchange(.get("/", "X-Request-Id: broken")) }
            #expect(response.status == 500 && response["x-request-id"] == "broken")
        }
    }
}
