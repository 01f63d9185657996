import HTTPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

/// Answers whose bodies are sent while they are made.
@Suite("Streams")
struct StreamTests {
    private static func stream(endsOnDrain: Bool = false, _ body: @escaping HTTPStream.Body) -> HTTPServer.HTTPAnswer {
        .stream(HTTPStream(headers: [("x-kind", "stream")], contentType: "text/plain", endsOnDrain: endsOnDrain, body: body))
    }

    /// Streams `/stream` and answers everything else at once.
    private static func responder(endsOnDrain: Bool = false, _ body: @escaping HTTPStream.Body) -> HTTPResponder {
        { request in request.path == "/stream" ? stream(endsOnDrain: endsOnDrain, body) : .now(.text(request.path)) }
    }

    @Test("HTTP/1.1 gets chunks, and the requests behind the stream their answers after it")
    func chunks() async throws {
        let gate = Gate()
        let responder = Self.responder { writer in
            try await writer.write(ByteBuffer(string: "first"))
            try await writer.write(ByteBuffer())
            await gate.pass()
            try await writer.write(ByteBuffer(string: "second"))
        }
        try await withServer(responder: responder) { server, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send(.get("/stream", "X-Request-Id: mine") + .get("/after") + .get("/stream"))
                let head = try client.readHead()
                #expect(head.status == 200 && head["transfer-encoding"] == "chunked" && head["content-length"] == nil)
                #expect(head["x-kind"] == "stream" && head["content-type"] == "text/plain" && head["x-request-id"] == "mine")
                #expect(head["date"] != nil && head["connection"] == nil)
                // The first piece arrives while the body is still being made, and nothing behind the stream does.
                #expect(try client.readChunk() == Array("first".utf8))
                #expect(server.statistics.requestsInFlight == 1)
                gate.open()
                #expect(try client.readChunk() == Array("second".utf8))
                #expect(try client.readChunk().isEmpty)
                #expect(try client.readResponse().body == "/after")
                _ = try client.readHead()
                #expect(try client.readChunks() == Array("firstsecond".utf8))
                #expect(try client.exchange(.get("/again")).body == "/again")
            }
            try await eventually("nothing is in flight") { server.statistics.requestsInFlight == 0 }
            #expect(server.statistics.requests == 4)
        }
    }

    @Test("a body that writes nothing, or all at once, is complete")
    func immediate() async throws {
        let responder: HTTPResponder = { request in
            Self.stream { [text = request.path] writer in
                if text != "/" { try await writer.write(ByteBuffer(string: text)) }
            }
        }
        try await withServer(responder: responder) { _, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send(.get("/") + .get("/a") + .get("/") + .get("/b"))
                for expected in ["", "/a", "", "/b"] {
                    _ = try client.readHead()
                    #expect(String(decoding: try client.readChunks(), as: UTF8.self) == expected)
                }
            }
        }
    }

    @Test("HTTP/1.0 gets the body until the connection ends, without chunks")
    func http10() async throws {
        let responder = Self.responder { try await $0.write(ByteBuffer(string: "body")) }
        try await withServer(responder: responder) { _, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                let head = try client.readHead()
                #expect(head["connection"] == "close" && head["transfer-encoding"] == nil && head["content-length"] == nil)
                #expect(try client.readToEnd() == "body")
            }
        }
    }

    @Test("the answer to HEAD is the head alone, and the body is not made")
    func headAlone() async throws {
        let runs = Atomic(0)
        let responder = Self.responder { _ in runs.add(1, ordering: .relaxed) }
        try await withServer(responder: responder) { server, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send("HEAD /stream HTTP/1.1\r\nHost: t\r\n\r\n" + .get("/after"))
                #expect(try client.readHead()["x-kind"] == "stream")
                #expect(try client.readResponse().body == "/after")
            }
            #expect(runs.load(ordering: .relaxed) == 0 && server.statistics.requestsInFlight == 0)
        }
    }

    @Test("a body that throws ends its connection before the end of the answer", arguments: [false, true])
    func throwing(writesFirst: Bool) async throws {
        struct Failure: Error {}
        let responder = Self.responder { writer in
            if writesFirst { try await writer.write(ByteBuffer(string: "some")) }
            await Task.yield()
            throw Failure()
        }
        try await withServer(responder: responder) { server, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send(.get("/stream"))
                #expect(throws: RawHTTPClient.Failure.self) {
                    _ = try client.readHead()
                    _ = try client.readChunks()
                }
                // To HTTP/1.0 an ordered end would look like the end of the body, so there is none.
                let old = try RawHTTPClient(port: port)
                try old.send("GET /stream HTTP/1.0\r\n\r\n")
                #expect(throws: RawHTTPClient.Failure.self) { _ = try old.readToEnd() }
            }
            try await eventually("nothing is in flight") {
                server.statistics.requestsInFlight == 0 && server.statistics.openConnections == 0
            }
        }
    }

    @Test("the body is cancelled and its writes fail when the client hangs up", arguments: HangUpTests.Ending.allCases)
    func hangUp(ending: HangUpTests.Ending) async throws {
        let cancelled = Atomic(0)
        let failed = Atomic(0)
        let responder = Self.responder { writer in
            try await writer.write(ByteBuffer(string: "first"))
            do { try await Task.sleep(for: hangLimit) } catch { cancelled.add(1, ordering: .relaxed) }
            // A body that catches its cancellation must not go on for nobody.
            do { try await writer.write(ByteBuffer(string: "late")) } catch { failed.add(1, ordering: .relaxed) }
        }
        try await withServer(responder: responder) { server, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                // More than what is read behind a running request, so that the server has stopped reading when the client leaves.
                try client.send(.get("/stream") + String(repeating: .get("/stream"), count: 1_000))
                _ = try client.readHead()
                #expect(try client.readChunk() == Array("first".utf8))
                ending.end(client)
                try waitUntil { cancelled.load(ordering: .relaxed) == 1 && failed.load(ordering: .relaxed) == 1 }
            }
            try await eventually("nothing is in flight") {
                server.statistics.requestsInFlight == 0 && server.statistics.openConnections == 0
            }
            // None of the requests behind the stream has run.
            #expect(server.statistics.requests == 1)
        }
    }

    @Test("a stream that has nothing to say outlasts every timeout")
    func idle() async throws {
        let gate = Gate()
        let responder = Self.responder { writer in
            await gate.pass()
            try await writer.write(ByteBuffer(string: "at last"))
        }
        let short = TimeAmount.milliseconds(50)
        try await withServer(
            configure: {
                // Also the time from the accept to the request, which a busy machine needs.
                ($0.limits.idleTimeout, $0.limits.headTimeout, $0.limits.bodyTimeout) = (short, .seconds(1), short)
                ($0.limits.writeTimeout, $0.limits.lingerTimeout) = (short, short)
            }, responder: responder
        ) { _, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send(.get("/stream"))
                _ = try client.readHead()
                // The server ends idle connections meanwhile, one after the other.
                for _ in 0..<2 { #expect(try RawHTTPClient(port: port).readsEnd()) }
                gate.open()
                #expect(try client.readChunks() == Array("at last".utf8))
            }
        }
    }

    /// Counts the bytes whose writes have returned.
    private final class Written: Sendable {
        let begun = Atomic(0)
        let done = Atomic(0)
        let failed = Atomic(false)

        /// A body that writes this often.
        func body(_ pieces: Int, of piece: ByteBuffer) -> HTTPStream.Body {
            { [self] writer in
                for _ in 0..<pieces {
                    begun.add(piece.readableBytes, ordering: .relaxed)
                    do {
                        try await writer.write(piece)
                    } catch {
                        failed.store(true, ordering: .relaxed)
                        throw error
                    }
                    done.add(piece.readableBytes, ordering: .relaxed)
                }
            }
        }

        /// Waits until a write does not return; answers how much was written before.
        func standing() async throws -> Int {
            var (seen, times) = (-1, 0)
            try await eventually("the body waits for its reader") {
                let (begun, done) = (begun.load(ordering: .relaxed), done.load(ordering: .relaxed))
                times = begun > done && done == seen ? times + 1 : 0
                seen = done
                return times > 20
            }
            return seen
        }
    }

    @Test("a body waits while its reader stands still, and goes on when it reads")
    func backpressure() async throws {
        let folder = TemporaryFolder(on: .memory)
        defer { folder.remove() }
        let path = folder.path + "/server.sock"
        let written = Written()
        let piece = ByteBuffer(repeating: UInt8(ascii: "x"), count: 16 * 1024)
        let pieces = 4_096
        let responder = Self.responder(written.body(pieces, of: piece))
        // A unix socket takes a few hundred kilobytes, and so most of what is written would be in the server's memory.
        try await withServer(configure: { $0.address = .unixSocket(path: path) }, responder: responder) { _, _ in
            let box = try await offPool { () -> ClientBox in
                let client = try RawHTTPClient(unixSocketPath: path)
                try client.send(.get("/stream"))
                _ = try client.readHead()
                return ClientBox(client)
            }
            let waiting = try await written.standing()
            #expect(waiting < 1 << 20, "\(waiting) bytes were taken for a client that reads nothing")
            try await offPool {
                var count = 0
                while case let chunk = try box.client.readChunk(), !chunk.isEmpty { count += chunk.count }
                #expect(count == pieces * piece.readableBytes)
                box.client.close()
            }
        }
    }

    @Test("a client that stops reading is cut off by the write timeout, and the body ends")
    func stopsReading() async throws {
        let written = Written()
        let responder = Self.responder(written.body(.max, of: ByteBuffer(repeating: 0, count: 64 * 1024)))
        try await withServer(configure: { $0.limits.writeTimeout = .milliseconds(300) }, responder: responder) { server, port in
            let box = try await offPool { () -> ClientBox in
                let client = try RawHTTPClient(port: port, receiveBufferBytes: 4_096)
                try client.send(.get("/stream"))
                return ClientBox(client)
            }
            try await eventually("the connection is cut and the body has ended") {
                written.failed.load(ordering: .relaxed) && server.statistics.openConnections == 0 && server.statistics.requestsInFlight == 0
            }
            try await offPool { box.client.close() }
        }
    }

    @Test("what is written at once or by several tasks arrives whole")
    func large() async throws {
        let large = ByteBuffer(bytes: (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 / 7) })
        let small = 1_000
        let responder: HTTPResponder = { request in
            if request.path == "/large" { return Self.stream { try await $0.write(large) } }
            return Self.stream { writer in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for letter in UInt8(ascii: "a")...UInt8(ascii: "h") {
                        // Away from the connection's loop.
                        group.addTask(executorPreference: globalConcurrentExecutor) {
                            for _ in 0..<200 { try await writer.write(ByteBuffer(repeating: letter, count: small)) }
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }
        try await withServer(responder: responder) { _, port in
            try await offPool {
                let client = try RawHTTPClient(port: port, receiveBufferBytes: 4_096)
                try client.send(.get("/large"))
                _ = try client.readHead()
                #expect(try client.readChunks() == Array(large.readableBytesView))
                try client.send(.get("/together"))
                _ = try client.readHead()
                var counts: [UInt8: Int] = [:]
                while case let chunk = try client.readChunk(), let letter = chunk.first {
                    #expect(chunk.count == small && Set(chunk) == [letter])
                    counts[letter, default: 0] += 1
                }
                #expect(counts.count == 8 && counts.values.allSatisfy { $0 == 200 })
            }
        }
    }

    @Test("a writer that is kept is of no use once its body has returned")
    func keptWriter() async throws {
        let kept = Mutex<HTTPBodyWriter?>(nil)
        let responder = Self.responder { writer in kept.withLock { $0 = writer } }
        try await withServer(responder: responder) { _, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send(.get("/stream"))
                _ = try client.readHead()
                #expect(try client.readChunks().isEmpty)
            }
            let writer = try #require(kept.withLock { $0 })
            await #expect(throws: HTTPStreamIsOver.self) { try await writer.write(ByteBuffer(string: "x")) }
            let after = try await offPool { try RawHTTPClient(port: port).exchange(.get("/after")).body }
            #expect(after == "/after")
        }
    }

    @Test("a cancelled write of a task of the body does not wait for the client")
    func cancelledWrite() async throws {
        let cancelled = Gate()
        let responder = Self.responder { writer in
            let filling = Task {
                do {
                    while true { try await writer.write(ByteBuffer(repeating: 0, count: 65_536)) }
                } catch is CancellationError {
                    await cancelled.pass()
                }
            }
            // Long enough for some of the writes; whether one waits when the cancellation comes makes no difference.
            try await Task.sleep(for: .milliseconds(50))
            filling.cancel()
            try await filling.value
        }
        try await withServer(responder: responder) { _, port in
            cancelled.open()
            try await offPool {
                let client = try RawHTTPClient(port: port, receiveBufferBytes: 4_096)
                try client.send(.get("/stream"))
                try waitUntil { cancelled.left == 1 }
                _ = try client.readHead()
                _ = try client.readChunks()
            }
        }
    }

    @Test("draining ends a stream in order where it says so, lets another finish, and cuts what lasts too long")
    func drain() async throws {
        let gate = Gate()
        let cancelled = Atomic(0)
        let responder: HTTPResponder = { request in
            let path = request.path
            return Self.stream(endsOnDrain: path == "/live") { writer in
                try await writer.write(ByteBuffer(string: path))
                if path == "/export" { return await gate.pass() }
                do { try await Task.sleep(for: hangLimit) } catch { cancelled.add(1, ordering: .relaxed) }
            }
        }
        try await withServer(responder: responder) { server, port in
            func begin(_ path: String) async throws -> ClientBox {
                try await offPool {
                    let client = try RawHTTPClient(port: port)
                    try client.send(.get(path))
                    _ = try client.readHead()
                    #expect(try client.readChunk() == Array(path.utf8))
                    return ClientBox(client)
                }
            }
            let (live, export, endless) = (try await begin("/live"), try await begin("/export"), try await begin("/endless"))
            async let drained: Void = server.drain(deadline: .seconds(2))
            try await offPool {
                #expect(try live.client.readChunks().isEmpty)
                #expect(try live.client.readsEnd())
                try waitUntil { cancelled.load(ordering: .relaxed) == 1 }
                live.client.close()
                gate.open()
                #expect(try export.client.readChunks().isEmpty)
                export.client.close()
                #expect(throws: RawHTTPClient.Failure.closedByServer) { _ = try endless.client.readChunk() }
                try waitUntil { cancelled.load(ordering: .relaxed) == 2 }
            }
            await drained
            #expect(server.statistics.openConnections == 0)
            try await eventually("nothing is in flight") { server.statistics.requestsInFlight == 0 }
        }
    }

    @Test("a handler without a server has its stream collected, up to a bound")
    func collected() async throws {
        let answer = Self.stream { writer in
            try await writer.write(ByteBuffer(string: "a"))
            try await writer.write(ByteBuffer(string: "b"))
        }
        let response = try await answer.response()
        #expect(response.status == 200 && String(buffer: response.body) == "ab")
        #expect(response.headers.contains { $0 == ("x-kind", "stream") } && response.headers.contains { $0 == ("content-length", "2") })
        let endless = Self.stream { writer in while true { try await writer.write(ByteBuffer(repeating: 0, count: 1 << 20)) } }
        await #expect(throws: HTTPStreamIsOver.self) { _ = try await endless.response() }
    }

    @Test("a form of answer that a task decides is taken as it comes")
    func deferredTask() async throws {
        struct Failure: Error {}
        let responder: HTTPResponder = { request in
            let path = request.path
            return .deferredTask {
                await Task.yield()
                if path == "/fails" { throw Failure() }
                return path == "/stream" ? Self.stream { try await $0.write(ByteBuffer(string: "s")) } : .now(.text("whole"))
            }
        }
        try await withServer(responder: responder) { server, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send(.get("/stream") + .get("/whole") + .get("/fails"))
                _ = try client.readHead()
                #expect(try client.readChunks() == Array("s".utf8))
                #expect(try client.readResponse().body == "whole")
                #expect(try client.readResponse().status == 500)
            }
            #expect(server.statistics.requestsInFlight == 0)
        }
    }
}
