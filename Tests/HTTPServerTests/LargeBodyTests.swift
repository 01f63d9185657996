import HTTPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

/// Counts the permits that are out, and what the server asked.
private final class Permits: Sendable {
    private struct State {
        var out = 0
        var asked: [Int?] = []
    }
    private let state = Mutex(State())

    var out: Int { state.withLock { $0.out } }
    var asked: [Int?] { state.withLock { $0.asked } }

    /// Admits what goes to `/large`, up to 1 MiB, as long as fewer than `limit` permits are out.
    func gate(limit: Int = 2) -> LargeBodyGate {
        { [self] request, length in
            guard request.path == "/large" else { return .refused(.payloadTooLarge) }
            return state.withLock { state in
                state.asked.append(length)
                guard length ?? 0 <= 1 << 20 else { return .refused(.largeBodyTooLarge) }
                guard state.out < limit else { return .refused(.largeBodiesExhausted) }
                state.out += 1
                return .admitted(LargeBodyPermit(maximumBytes: length ?? 1 << 20) { self.state.withLock { $0.out -= 1 } })
            }
        }
    }
}

private let countBytes: HTTPHandler = { request in
    let body = request.body
    return .text("\(body.readableBytes) bytes, \(body.readableBytesView.reduce(0) { $0 &+ Int($1) })")
}

/// Bodies beyond the ordinary limit, which only a request that was asked about may have.
@Suite("Large bodies")
struct LargeBodyTests {
    private static func body(_ count: Int) -> String { String(repeating: "a", count: count) }
    private static func answer(_ count: Int) -> String { "\(count) bytes, \(97 * count)" }
    private static func head(_ path: String, _ field: String) -> String { "POST \(path) HTTP/1.1\r\nHost: test\r\n\(field)\r\n" }
    private static func chunk(_ text: String) -> String { "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n" }

    private func with(
        _ permits: Permits, limit: Int = 2, _ configure: (inout HTTPServerConfiguration) -> Void = { _ in },
        handler: @escaping HTTPHandler = countBytes, _ body: @escaping @Sendable (Int) throws -> Void
    ) async throws {
        try await withClient(
            configure: {
                $0.largeBodies = permits.gate(limit: limit)
                configure(&$0)
            }, handler: handler, body)
        try await eventually("every permit is returned") { permits.out == 0 }
    }

    @Test("an admitted body arrives whole, of known length and in chunks, and the connection goes on")
    func admitted() async throws {
        let permits = Permits()
        try await with(permits) { port in
            let client = try RawHTTPClient(port: port)
            try client.send(Self.head("/large", "Content-Length: 300000\r\n") + Self.body(300_000) + .get("/next"))
            #expect(try client.readResponse().body == Self.answer(300_000))
            #expect(try client.readResponse().body == Self.answer(0))
            let chunks = (0..<40).map { _ in Self.chunk(Self.body(7_777)) }.joined()
            try client.send(Self.head("/large", "Transfer-Encoding: chunked\r\n") + chunks + "0\r\n\r\n" + .get("/next"))
            #expect(try client.readResponse().body == Self.answer(40 * 7_777))
            #expect(try client.readResponse().body == Self.answer(0))
        }
        #expect(permits.asked == [300_000, nil])
    }

    @Test("requests with ordinary bodies are not asked about")
    func ordinary() async throws {
        let permits = Permits()
        try await with(permits) { port in
            let client = try RawHTTPClient(port: port)
            try client.send(Self.head("/large", "Content-Length: 65536\r\n") + Self.body(65_536))
            #expect(try client.readResponse().body == Self.answer(65_536))
            try client.send(Self.head("/large", "Transfer-Encoding: chunked\r\n") + Self.chunk(Self.body(65_536)) + "0\r\n\r\n")
            #expect(try client.readResponse().body == Self.answer(65_536))
        }
        #expect(permits.asked.isEmpty)
    }

    @Test("other requests keep the ordinary limit, and a longer body than the longest is refused before it is read")
    func refused() async throws {
        let permits = Permits()
        try await with(permits) { port in
            for (path, field) in [
                ("/other", "Content-Length: 65537\r\n"), ("/large", "Content-Length: 1048577\r\n"),
                ("/large", "Content-Length: 99999999999999999999\r\n"),
            ] {
                let client = try RawHTTPClient(port: port)
                try client.send(Self.head(path, field))
                #expect(try client.readResponse().status == 413)
                #expect(try client.readsEnd())
            }
            for path in ["/other", "/large"] {
                let client = try RawHTTPClient(port: port)
                try client.send(Self.head(path, "Transfer-Encoding: chunked\r\n"))
                // Refused somewhere on the way; a client that goes on to send may be cut off.
                for _ in 0..<20 { do { try client.send(Self.chunk(Self.body(65_000))) } catch { break } }
                #expect(try client.readResponse().status == 413, "\(path)")
            }
        }
    }

    @Test("a client that waits for 100 Continue is told so where its body is admitted, and the refusal where not")
    func expectations() async throws {
        let permits = Permits()
        try await with(permits) { port in
            let admitted = try RawHTTPClient(port: port)
            try admitted.send(Self.head("/large", "Content-Length: 100000\r\nExpect: 100-continue\r\n"))
            #expect(try admitted.readResponse().status == 100)
            try admitted.send(Self.body(100_000))
            #expect(try admitted.readResponse().body == Self.answer(100_000))
            let refused = try RawHTTPClient(port: port)
            try refused.send(Self.head("/other", "Content-Length: 100000\r\nExpect: 100-continue\r\n"))
            #expect(try refused.readResponse().status == 413)
        }
    }

    @Test("beyond the budget a body is refused with 503 before it is read, and hanging up gives the memory back")
    func budget() async throws {
        let permits = Permits()
        try await with(permits) { port in
            let holders = try (0..<2).map { _ in
                let client = try RawHTTPClient(port: port)
                try client.send(Self.head("/large", "Content-Length: 500000\r\n") + Self.body(100_000))
                return client
            }
            while permits.out < 2 {}
            let late = try RawHTTPClient(port: port)
            try late.send(Self.head("/large", "Content-Length: 500000\r\n"))
            #expect(try late.readResponse().status == 503)
            holders[0].reset()
            holders[1].finishWriting()
            #expect(try holders[1].readResponse().status == 400)
            while permits.out > 0 {}
            #expect(
                try RawHTTPClient(port: port).exchange(Self.head("/large", "Content-Length: 70000\r\n") + Self.body(70_000)).status == 200)
        }
    }

    @Test("a permit is held as long as the request is, also where the client has hung up")
    func handled() async throws {
        let (permits, gate) = (Permits(), Gate())
        let handler: HTTPHandler = { request in
            await gate.pass()
            return await countBytes(request)
        }
        try await with(permits, handler: handler) { port in
            let client = try RawHTTPClient(port: port)
            try client.send(Self.head("/large", "Content-Length: 70000\r\n") + Self.body(70_000))
            while gate.entered < 1 {}
            client.reset()
            #expect(permits.out == 1)
            gate.open()
        }
    }

    @Test("a slow body is refused once it makes too little progress, and one that goes on may take longer than the limit")
    func slow() async throws {
        let permits = Permits()
        try await with(permits, { $0.bodyTimeout = .seconds(2) }) { port in
            let idle = try RawHTTPClient(port: port)
            try idle.send(Self.head("/large", "Content-Length: 500000\r\n") + Self.body(200_000))
            #expect(try idle.readResponse().status == 408)
        }
    }
}
