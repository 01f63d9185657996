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

@Suite("Keep-alive and pipelining")
struct KeepAliveTests {
    @Test("one connection serves many requests, each answer complete")
    func keepAlive() async throws {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            for number in 0..<100 {
                let response = try client.exchange(.post("/n/\(number)?a=b", "body \(number)"))
                #expect(response.status == 200)
                #expect(response.body == "POST /n/\(number)?a=b [body \(number)]")
                #expect(response["content-type"] == "text/plain; charset=utf-8")
                #expect(response["connection"] == nil)
                #expect(response["date"]?.hasSuffix(" GMT") == true)
            }
        }
    }

    @Test("a thousand requests in one write are answered in order")
    func pipelining() async throws {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            try client.send((0..<1000).map { .get("/\($0)") }.joined())
            for number in 0..<1000 {
                #expect(try client.readResponse().body == "GET /\(number) []")
            }
        }
    }

    @Test("a connection's requests run one after the other, whatever they ask", arguments: ["GET", "POST"])
    func oneAtATime(method: String) async throws {
        let gate = Gate()
        try await withServer(handler: { request in
            await gate.pass()
            return .text(request.path)
        }) { server, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                func request(_ path: String) -> String { method == "GET" ? .get(path) : .post(path, "x") }
                try client.send((0..<20).map { request("/\($0)") }.joined())
                try waitUntil { gate.entered >= 1 }
                // A second connection is answered by the same loops; by then a wrong start would have shown.
                let other = try RawHTTPClient(port: port)
                try other.send(.get("/other"))
                try waitUntil { gate.entered >= 2 }
                #expect(server.statistics.requests == 2 && server.statistics.requestsInFlight == 2)
                gate.open()
                for number in 0..<20 { #expect(try client.readResponse().body == "/\(number)") }
                #expect(try other.readResponse().body == "/other")
            }
        }
    }

    @Test("requests that wait behind a running one hold bounded memory: the connection is not read until they run")
    func waitingRequestsAreBounded() async throws {
        let gate = Gate()
        try await withServer(handler: { request in
            if request.path == "/held" { await gate.pass() }
            return .text(request.path)
        }) { server, port in
            try await offPool {
                let client = try RawHTTPClient(port: port, timeoutMilliseconds: 500)
                try client.send(.get("/held"))
                try waitUntil { gate.entered >= 1 }
                let batch = String(repeating: .get("/waiting"), count: 1_000)
                // Ends once the buffers of both sockets are full, far below what is on offer.
                #expect(throws: RawHTTPClient.Failure.timedOut) {
                    for _ in 0..<10_000 { try client.send(batch) }
                }
                #expect(server.statistics.requests == 1)
                client.timeoutMilliseconds = 60_000
                gate.open()
                for _ in 0..<1_000 { #expect(try client.readResponse().status == 200) }
            }
        }
    }

    @Test("Connection: close is answered and obeyed; what follows it is not")
    func close() async throws {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            let response = try client.exchange(.get("/a", "Connection: close") + .get("/b"))
            #expect(response.body == "GET /a []")
            #expect(response["connection"] == "close")
            #expect(try client.readsEnd())
        }
    }

    @Test("HTTP/1.0 closes by default and stays open when asked")
    func http10() async throws {
        try await withClient { port in
            let closing = try RawHTTPClient(port: port)
            let response = try closing.exchange("GET /old HTTP/1.0\r\n\r\n")
            #expect(response.body == "GET /old []")
            #expect(response["connection"] == "close")
            #expect(try closing.readsEnd())

            let staying = try RawHTTPClient(port: port)
            for _ in 0..<3 {
                let response = try staying.exchange("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                #expect(response.status == 200)
                #expect(response["connection"] == "keep-alive")
            }
        }
    }

    @Test("HEAD has the headers of GET and no body")
    func head() async throws {
        try await withClient(handler: { _ in .text("twelve bytes") }) { port in
            let client = try RawHTTPClient(port: port)
            let response = try client.exchange("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n", isHead: true)
            #expect(response["content-length"] == "12")
            // Were there a body, it would stand before the next answer.
            #expect(try client.exchange(.get("/")).body == "twelve bytes")
        }
    }

    @Test("204 and 304 have neither body nor length")
    func noContent() async throws {
        try await withClient(handler: { HTTPResponse(status: $0.path == "/304" ? 304 : 204, body: ByteBuffer(string: "never")) }) { port in
            let client = try RawHTTPClient(port: port)
            for path in ["/204", "/304", "/204"] {
                let response = try client.exchange(.get(path))
                #expect("/\(response.status)" == path)
                #expect(response["content-length"] == nil)
            }
        }
    }

    @Test("a half-closed client still gets every answer, then the end")
    func halfClosed() async throws {
        let gate = Gate()
        try await withServer(handler: { request in
            await gate.pass()
            return .text(request.path)
        }) { _, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send(.get("/1") + .get("/2"))
                client.finishWriting()
                try waitUntil { gate.entered >= 1 }
                gate.open()
                #expect(try client.readResponse().body == "/1")
                #expect(try client.readResponse().body == "/2")
                #expect(try client.readsEnd())
            }
        }
    }

    @Test("a handler whose client is gone finishes, and the server goes on", arguments: [true, false])
    func clientGone(byReset: Bool) async throws {
        let gate = Gate()
        try await withServer(handler: { request in
            if request.path == "/slow" { await gate.pass() }
            return .text("done")
        }) { server, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send(.post("/slow", "x"))
                try waitUntil { gate.entered >= 1 }
                if byReset { client.reset() } else { client.close() }
                gate.open()
                #expect(try RawHTTPClient(port: port).exchange(.get("/")).status == 200)
            }
            try await eventually("the handler has finished and nothing is in flight") {
                gate.left == 1 && server.statistics.requestsInFlight == 0
            }
            try await eventually("its connection is closed") { server.statistics.openConnections == 0 }
        }
    }

    @Test("a handler that never suspends runs on the connection's loop, and one that does comes back to it")
    func staysOnLoop() async throws {
        let unsuspended = Atomic<Int>(0)
        let resumed = Atomic<Int>(0)
        try await withClient(handler: { request in
            if request.eventLoop.inEventLoop { unsuspended.wrappingAdd(1, ordering: .relaxed) }
            await withCheckedContinuation { continuation in
                _ = Task.detached { continuation.resume() }
            }
            if request.eventLoop.inEventLoop { resumed.wrappingAdd(1, ordering: .relaxed) }
            return .text("")
        }) { port in
            let client = try RawHTTPClient(port: port)
            for _ in 0..<50 { _ = try client.exchange(.get("/")) }
        }
        #expect(unsuspended.load(ordering: .relaxed) == 50)
        #expect(resumed.load(ordering: .relaxed) == 50)
    }
}
