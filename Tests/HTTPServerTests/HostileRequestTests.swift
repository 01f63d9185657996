import HTTPServer
import NIOCore
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What is on the wire, and the status it must be refused with.
struct HostileCase: Sendable, CustomTestStringConvertible {
    let request: String
    let status: Int
    /// Whether another request stands right behind; not where it would complete what is meant to have no end.
    let isFollowed: Bool
    init(_ request: String, _ status: Int = 400, isFollowed: Bool = true) {
        self.request = request
        self.status = status
        self.isFollowed = isFollowed
    }
    var testDescription: String { String(request.prefix(90)).debugDescription }
}

@Suite("Hostile HTTP")
struct HostileRequestTests {
    private static func post(_ headers: String, _ body: String = "") -> HostileCase {
        HostileCase("POST / HTTP/1.1\r\nHost: test\r\n\(headers)\r\n\r\n\(body)")
    }

    private static let cases: [HostileCase] = [
        // Framing two readers may understand differently
        post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
        post("Content-Length: 5\r\nContent-Length: 6", "hello!"),
        post("Content-Length: 5\r\nContent-Length: 5", "hello"),
        post("Content-Length: 5, 5", "hello"),
        post("Content-Length: +5", "hello"), post("Content-Length: -1"), post("Content-Length: 5x", "hello"),
        post("Content-Length: 0x5", "hello"), post("Content-Length: 5 5", "hello"), post("Content-Length:"),
        HostileCase("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999999999999999999\r\n\r\n", 413),
        post("Transfer-Encoding: gzip", "x"), post("Transfer-Encoding: chunked, gzip", "0\r\n\r\n"),
        post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), post("Transfer-Encoding: identity"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        post("Transfer-Encoding: \u{B}chunked", "0\r\n\r\n"), post("Transfer-Encoding: xchunked", "0\r\n\r\n"),
        post("Transfer-Encoding : chunked", "0\r\n\r\n"), post("Content-Length : 5", "hello"),
        HostileCase("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        // Header syntax
        post("A: b\r\n folded"), post("A: b\r\n\tfolded"), post(" A: b"), post("A b: c"), post("A"), post(": c"), post("A\u{0}: b"),
        post("A: b\u{0}c"), post("A: b\rc: d"), post("A: b\nc: d"), post("A: b\n"), post("A\r: b"), post("A\u{7F}: b"), post("(A): b"),
        post("A: b\u{1}c"),
        // Chunks
        post("Transfer-Encoding: chunked", "g\r\n"), post("Transfer-Encoding: chunked", "-1\r\n"),
        post("Transfer-Encoding: chunked", "\r\n"),
        post("Transfer-Encoding: chunked", "0x1\r\na\r\n"), post("Transfer-Encoding: chunked", "1\r\nab\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked", "1 \r\na\r\n0\r\n\r\n"), post("Transfer-Encoding: chunked", "1\na\n0\n\n"),
        post("Transfer-Encoding: chunked", "fffffffffffffffff\r\n"), post("Transfer-Encoding: chunked", "1\r\na\r\n0\r\nA b: c\r\n\r\n"),
        // Host
        HostileCase("GET / HTTP/1.1\r\n\r\n"), HostileCase("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        HostileCase("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
        // Request line
        HostileCase("G<T / HTTP/1.1\r\nHost: test\r\n\r\n"),
        HostileCase("/ HTTP/1.1\r\nHost: test\r\n\r\n"),
        HostileCase("GET / \r\nHost: test\r\n\r\n"),
        HostileCase("GET / HTTP/2.0\r\nHost: test\r\n\r\n"), HostileCase("GET / HTTP/1.2\r\nHost: test\r\n\r\n"),
        HostileCase("GET / HTTP/0.9\r\nHost: test\r\n\r\n"),
        HostileCase("GET / HTTP/11\r\nHost: test\r\n\r\n"), HostileCase("GET / http/1.1\r\nHost: test\r\n\r\n"),
        HostileCase("GET / HTTP/1.1 \r\nHost: test\r\n\r\n"),
        HostileCase("GET / HTTP/1.1\nHost: test\n\n"), HostileCase("GET /a b HTTP/1.1\r\nHost: test\r\n\r\n"),
        HostileCase("GET /\u{0} HTTP/1.1\r\nHost: test\r\n\r\n"),
        HostileCase("GET /\u{7F} HTTP/1.1\r\nHost: test\r\n\r\n"), HostileCase("GET /쿠폰 HTTP/1.1\r\nHost: test\r\n\r\n"),
        HostileCase("GET /a#b HTTP/1.1\r\nHost: test\r\n\r\n"), HostileCase("GET * HTTP/1.1\r\nHost: test\r\n\r\n"),
        HostileCase("GET a HTTP/1.1\r\nHost: test\r\n\r\n"),
        HostileCase("GET ftp://a/b HTTP/1.1\r\nHost: test\r\n\r\n"), HostileCase("GET http:///b HTTP/1.1\r\nHost: test\r\n\r\n"),
        HostileCase("GET test:80 HTTP/1.1\r\nHost: test\r\n\r\n"), HostileCase("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}"),
        HostileCase("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        HostileCase("CONNECT test:80 HTTP/1.1\r\nHost: test\r\n\r\n", 501),
        HostileCase("POST / HTTP/1.1\r\nHost: test\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\n", 417),
        // Sizes
        HostileCase("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 65537\r\n\r\n", 413),
        HostileCase("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 65537\r\nExpect: 100-continue\r\n\r\n", 413),
        HostileCase("GET /" + String(repeating: "a", count: 20_000), 431, isFollowed: false),
        HostileCase("GET / HTTP/1.1\r\nHost: test\r\nA: " + String(repeating: "a", count: 20_000), 431, isFollowed: false),
        HostileCase("GET / HTTP/1.1\r\nHost: test\r\n" + String(repeating: "a", count: 20_000), 431, isFollowed: false),
        HostileCase("GET / HTTP/1.1\r\nHost: test\r\nA: " + String(repeating: " ", count: 20_000), 431, isFollowed: false),
        HostileCase("GET / HTTP/1.1\r\nHost: test\r\n" + String(repeating: "A: b\r\n", count: 4_000), 431),
        HostileCase("GET / HTTP/1.1\r\nHost: test\r\n" + String(repeating: "A: b\r\n", count: 200) + "\r\n", 431),
        HostileCase(String(repeating: "\r\n", count: 10_000), 431, isFollowed: false),
        HostileCase("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1;" + String(repeating: "x", count: 40_000)),
        HostileCase(
            "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + String(repeating: "A: b\r\n", count: 4_000), 431),
    ]

    @Test("is refused once, and the connection ends in order", arguments: cases)
    func refused(_ hostile: HostileCase) async throws {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            // The smuggled request must never be answered.
            try client.send(hostile.request + (hostile.isFollowed ? .get("/smuggled") : ""))
            let response = try client.readResponse()
            #expect(response.status == hostile.status, "\(hostile.testDescription): \(response.body)")
            #expect(response["connection"] == "close")
            #expect(try client.readsEnd())
        }
    }

    @Test("an earlier request is answered before the refusal of a later one")
    func refusalInOrder() async throws {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            try client.send(.get("/good") + "GET / HTTP/1.1\r\n\r\n")
            #expect(try client.readResponse().body == "GET /good []")
            #expect(try client.readResponse().status == 400)
            #expect(try client.readsEnd())
        }
    }

    @Test("headers of exactly the limit pass, and one byte more does not")
    func headerLimit() async throws {
        try await withClient { port in
            let fixed = String.get("/", "A: ").utf8.count
            let exact = try RawHTTPClient(port: port).exchange(.get("/", "A: " + String(repeating: "a", count: 16_384 - fixed)))
            #expect(exact.status == 200)
            let over = try RawHTTPClient(port: port).exchange(.get("/", "A: " + String(repeating: "a", count: 16_385 - fixed)))
            #expect(over.status == 431)
        }
    }

    @Test("a body of exactly the limit passes, by length and by chunks, and one byte more does not")
    func bodyLimit() async throws {
        try await withClient(handler: { .text("\($0.body.readableBytes)") }) { port in
            let limit = 65_536
            let client = try RawHTTPClient(port: port)
            #expect(try client.exchange(.post("/", String(repeating: "a", count: limit))).body == "\(limit)")
            func chunked(_ count: Int) -> String {
                var request = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
                for start in stride(from: 0, to: count, by: 1000) {
                    let size = min(1000, count - start)
                    request += String(size, radix: 16) + ";name=\"value\"\r\n" + String(repeating: "a", count: size) + "\r\n"
                }
                return request + "0\r\nTrailer: x\r\n\r\n"
            }
            #expect(try client.exchange(chunked(limit)).body == "\(limit)")
            let refused = try client.exchange(chunked(limit + 1))
            #expect(refused.status == 413)
            #expect(refused["connection"] == "close")
        }
    }

    @Test("a body in chunks of one byte is accepted up to the limit")
    func tinyChunks() async throws {
        try await withClient(handler: { .text("\($0.body.readableBytes)") }) { port in
            let request =
                "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
                + String(repeating: "1\r\na\r\n", count: 65_536) + "0\r\n\r\n"
            let response = try RawHTTPClient(port: port).exchange(request)
            #expect(response.body == "65536")
        }
    }

    @Test("a request is understood wherever the network splits it")
    func splitAnywhere() async throws {
        let request =
            "POST /a?b=c HTTP/1.1\r\nHost: test\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n3;e=f\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n"
            + .get("/next")
        try await withClient { port in
            let bytes = Array(request.utf8)
            let client = try RawHTTPClient(port: port)
            for split in 1..<bytes.count {
                try client.send(Array(bytes[..<split]))
                // Gives the server a chance to read the first part by itself; either way the answer must be the same.
                if split % 8 == 0 { usleep(500) }
                try client.send(Array(bytes[split...]))
                #expect(try client.readResponse().body == "POST /a?b=c [abcde]")
                #expect(try client.readResponse().body == "GET /next []")
            }
            for byte in bytes { try client.send([byte]) }
            #expect(try client.readResponse().body == "POST /a?b=c [abcde]")
            #expect(try client.readResponse().body == "GET /next []")
        }
    }

    @Test("a request cut short by the client is refused, not handled")
    func cutShort() async throws {
        try await withServer { server, port in
            try await offPool {
                for part in ["GET / HT", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhel"] {
                    let client = try RawHTTPClient(port: port)
                    try client.send(part)
                    client.finishWriting()
                    #expect(try client.readResponse().status == 400)
                    #expect(try client.readsEnd())
                }
            }
            #expect(server.statistics.requests == 0)
        }
    }

    @Test(
        "every target form a server must take leads to path and query",
        arguments: [
            ("GET http://test/a/b?c=d HTTP/1.1", "GET /a/b?c=d []"), ("GET HTTPS://test:8080/a HTTP/1.1", "GET /a []"),
            ("GET http://test HTTP/1.1", "GET / []"), ("GET http://test?x HTTP/1.1", "GET /?x []"), ("OPTIONS * HTTP/1.1", "OPTIONS * []"),
            ("GET /? HTTP/1.1", "GET /? []"), ("GET //a/../b HTTP/1.1", "GET //a/../b []"),
            ("GET /%EC%BF%A0 HTTP/1.1", "GET /%EC%BF%A0 []"),
        ]
    )
    func targets(line: String, expected: String) async throws {
        try await withClient { port in
            let response = try RawHTTPClient(port: port).exchange(line + "\r\nHost: test\r\n\r\n")
            #expect(response.body == expected)
        }
    }

    @Test("Expect: 100-continue is answered before the body, after earlier answers, and not when the body is there already")
    func expectContinue() async throws {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            let head = "POST /e HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n"
            #expect(try client.exchange(head).status == 100)
            #expect(try client.exchange("hi").body == "POST /e [hi]")

            try client.send(.get("/first") + head)
            #expect(try client.readResponse().body == "GET /first []")
            #expect(try client.readResponse().status == 100)
            #expect(try client.exchange("ho").body == "POST /e [ho]")

            let empty = "POST /e HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n"
            #expect(try client.exchange(empty).body == "POST /e []")
        }
    }

    @Test("any token is a method, and names are case-sensitive: the routes decide", arguments: ["BREW", "get", "M-SEARCH", "!"])
    func methods(name: String) async throws {
        try await withClient(handler: { .text("\($0.method) \($0.methodName)") }) { port in
            let response = try RawHTTPClient(port: port).exchange("\(name) / HTTP/1.1\r\nHost: test\r\n\r\n")
            #expect(response.body == "other \(name)")
        }
    }

    @Test("an upgrade is ignored: the request is answered as any other, and the connection ends")
    func upgrade() async throws {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            let response = try client.exchange(.get("/", "Connection: Upgrade", "Upgrade: h2c") + .get("/more"))
            #expect(response.status == 200)
            #expect(try client.readsEnd())
        }
    }

    @Test("no header value a handler sets can begin another header")
    func responseSplitting() async throws {
        try await withClient(handler: { _ in
            HTTPResponse(status: 200, headers: [("location", "/a\r\nSet-Cookie: b\u{0}")], contentType: "a\nb")
        }) { port in
            let response = try RawHTTPClient(port: port).exchange(.get("/"))
            #expect(response["location"] == "/a  Set-Cookie: b ")
            #expect(response["content-type"] == "a b")
            #expect(response["set-cookie"] == nil)
        }
    }

    @Test("a client that keeps sending after its refusal can still read it")
    func refusalSurvivesUnreadBytes() async throws {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            try client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n" + String(repeating: "a", count: 500_000))
            #expect(try client.readResponse().status == 413)
            #expect(try client.readsEnd())
        }
    }
}
