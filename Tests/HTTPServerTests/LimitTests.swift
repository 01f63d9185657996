import HTTPServer
import NIOCore
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

@Suite("Limits and timeouts")
struct LimitTests {
    @Test("a connection beyond the limit is told so and closed, and the place is free again when one ends")
    func connectionLimit() async throws {
        try await withServer(configure: { $0.maximumConnections = 2 }) { server, port in
            try await offPool {
                let first = try RawHTTPClient(port: port)
                let second = try RawHTTPClient(port: port)
                _ = try first.exchange(.get("/"))
                _ = try second.exchange(.get("/"))
                let excess = try RawHTTPClient(port: port)
                let response = try excess.readResponse()
                #expect(response.status == 503)
                #expect(response["retry-after"] == "1")
                #expect(response["connection"] == "close")
                #expect(try excess.readsEnd())
                first.close()
            }
            try await eventually("a place is free") { server.statistics.openConnections < 2 }
            let response = try await offPool { try RawHTTPClient(port: port).exchange(.get("/")) }
            #expect(response.status == 200)
            #expect(server.statistics.refusedConnections == 1)
            #expect(server.statistics.acceptedConnections == 4)
        }
    }

    @Test("a request beyond those in flight is told so at once, and its connection stays open")
    func inFlightLimit() async throws {
        let gate = Gate()
        try await withServer(
            configure: { $0.maximumRequestsInFlight = 2 },
            handler: { request in
                if request.path == "/held" { await gate.pass() }
                return .text("ok")
            }
        ) { server, port in
            try await offPool {
                let holders = try (0..<2).map { _ in try RawHTTPClient(port: port) }
                for holder in holders { try holder.send(.get("/held")) }
                try waitUntil { gate.entered >= 2 }
                #expect(server.statistics.requestsInFlight == 2)
                let client = try RawHTTPClient(port: port)
                let response = try client.exchange(.get("/"))
                #expect(response.status == 429)
                #expect(response["retry-after"] == "1")
                #expect(response["connection"] == nil)
                gate.open()
                for holder in holders { #expect(try holder.readResponse().status == 200) }
                #expect(try client.exchange(.get("/")).status == 200)
            }
            #expect(server.statistics.refusedRequests == 1)
            #expect(server.statistics.requestsInFlight == 0)
        }
    }

    @Test("an idle connection is closed after the idle timeout, and not before")
    func idleTimeout() async throws {
        try await withClient(configure: { $0.idleTimeout = .milliseconds(200) }) { port in
            let client = try RawHTTPClient(port: port)
            // Before the request: this client may be kept from running after its answer, while the server's time runs.
            let start = NIODeadline.now()
            _ = try client.exchange(.get("/"))
            #expect(try client.readsEnd())
            let waited = NIODeadline.now() - start
            #expect(waited >= .milliseconds(190) && waited < .seconds(5), "closed after \(waited)")
        }
    }

    @Test("a connection that sends nothing is closed without an answer")
    func silentConnection() async throws {
        try await withClient(configure: { $0.headTimeout = .milliseconds(100) }) { port in
            let text = try RawHTTPClient(port: port).readToEnd()
            #expect(text == "")
        }
    }

    @Test("a head that drips in is answered 408 when its time is over, whatever arrives", arguments: [false, true])
    func slowHead(afterARequest: Bool) async throws {
        try await withClient(configure: {
            $0.headTimeout = .seconds(4)
            $0.lingerTimeout = .seconds(60)
        }) { port in
            let client = try RawHTTPClient(port: port)
            if afterARequest { _ = try client.exchange(.get("/")) }
            try expectTimeout(of: "GET / HTTP/1.1\r\nHost: test\r\nA: " + String(repeating: "a", count: 1000), from: client)
        }
    }

    @Test("a body that drips in is answered 408 when its time is over", arguments: ["Content-Length: 1000", "Transfer-Encoding: chunked"])
    func slowBody(framing: String) async throws {
        try await withClient(configure: {
            $0.bodyTimeout = .milliseconds(200)
            $0.lingerTimeout = .seconds(60)
        }) { port in
            let client = try RawHTTPClient(port: port)
            try client.send("POST / HTTP/1.1\r\nHost: test\r\n\(framing)\r\n\r\n")
            try expectTimeout(of: String(repeating: "1\r\na\r\n", count: 500), from: client)
        }
    }

    /// Sends a byte every 10 ms until the server answers, which it has to do with 408 before the last byte.
    private func expectTimeout(of text: String, from client: RawHTTPClient) throws {
        let isAnswered = try text.utf8.contains { byte in
            if try client.hasBytesToRead(withinMilliseconds: 10) { return true }
            try client.send([byte])
            return false
        }
        #expect(isAnswered)
        let response = try client.readResponse()
        #expect(response.status == 408)
        #expect(response["connection"] == "close")
        #expect(try client.readsEnd())
    }

    @Test("a handler may take longer than every timeout of reading")
    func slowHandler() async throws {
        let gate = Gate()
        try await withClient(
            configure: { configuration in
                configuration.idleTimeout = .seconds(5)
                configuration.headTimeout = .seconds(5)
                configuration.bodyTimeout = .seconds(5)
            },
            handler: { request in
                if request.path == "/held" { await gate.pass() }
                return .text("done")
            }
        ) { port in
            let client = try RawHTTPClient(port: port)
            try client.send(.get("/held"))
            try waitUntil { gate.entered == 1 }
            // Another client's timeouts begin now and have passed when the server closes it.
            let idle = try RawHTTPClient(port: port)
            _ = try idle.exchange(.get("/"))
            #expect(try idle.readsEnd())
            gate.open()
            #expect(try client.readResponse().body == "done")
        }
    }

    @Test("a client that does not read its answers is not read from, holds bounded memory, and is cut in the end")
    func slowReader() async throws {
        let body = ByteBuffer(repeating: UInt8(ascii: "x"), count: 100_000)
        try await withServer(
            configure: { $0.writeTimeout = .milliseconds(300) }, handler: { _ in HTTPResponse(status: 200, body: body) }
        ) { server, port in
            try await offPool {
                let client = try RawHTTPClient(port: port, timeoutMilliseconds: 200, receiveBufferBytes: 4096)
                let request = String(repeating: .get("/"), count: 100)
                // Sends until the server has stopped reading and the socket buffers between are full, or it has cut us.
                #expect(throws: RawHTTPClient.Failure.self) {
                    for _ in 0..<10_000 { try client.send(request) }
                }
                // A million requests were on offer; answers are made for what the socket buffers take, some 60, and not for a
                // whole read batch, some 2,000.
                #expect(server.statistics.requests < 500)
                // The client is still there, and does not close by itself.
                try waitUntil { server.statistics.openConnections == 0 }
                client.close()
            }
        }
    }

    @Test("a client that reads late but in time gets every byte")
    func lateReader() async throws {
        let body = ByteBuffer(repeating: UInt8(ascii: "x"), count: 300_000)
        try await withClient(handler: { _ in HTTPResponse(status: 200, body: body) }) { port in
            let client = try RawHTTPClient(port: port, receiveBufferBytes: 4096)
            try client.send(String(repeating: .get("/"), count: 40))
            usleep(50_000)
            for _ in 0..<40 { #expect(try client.readResponse().body.utf8.count == 300_000) }
        }
    }

    @Test("refused connections leave nothing behind")
    func nothingLeft() async throws {
        try await withServer(configure: { $0.lingerTimeout = .milliseconds(50) }) { server, port in
            try await offPool {
                for _ in 0..<200 {
                    let client = try RawHTTPClient(port: port)
                    try client.send("GET / HTTP/1.1\r\n\r\n")
                    #expect(try client.readResponse().status == 400)
                }
            }
            try await eventually("every connection is closed") { server.statistics.openConnections == 0 }
            #expect(server.statistics.rejectedRequests == 200)
        }
    }
}
