import Foundation
import HTTPServer
import Logging
import NIOCore
import NIOEmbedded
import NIOPosix
import NIOSSL
import TestSupport
import Testing

/// The server behind TLS, with a certificate made for the test.
@Suite("Behind TLS", .serialized)
struct TLSTests {
    @Test("requests are answered through TLS: kept alive, pipelined, with bodies, and the last one with all of a large answer")
    func answers() async throws {
        try await withTLSServer { _, port, certificate in
            let client = try await TLSClient.connect(port: port, trusting: certificate)
            for number in 0..<3 {
                try await client.send(.post("/\(number)", "body"))
                try await client.received { $0.hasSuffix("POST /\(number) [body]") }
            }
            try await client.send(.get("/a") + .get("/b"))
            try await client.received { $0.contains("GET /a []") && $0.hasSuffix("GET /b []") }
            try await client.send(.get("/large", "Connection: close"))
            let text = try await client.readToEnd()
            #expect(text.contains("connection: close\r\n"))
            #expect(text.hasSuffix(String(repeating: "x", count: 1_000) + "end"))
        }
    }

    @Test("a refusal arrives through TLS, and the connection ends")
    func refusal() async throws {
        try await withTLSServer { _, port, certificate in
            let client = try await TLSClient.connect(port: port, trusting: certificate)
            try await client.send("GET / HTTP/1.1\r\n\r\n" + .get("/smuggled"))
            let text = try await client.readToEnd()
            #expect(text.hasPrefix("HTTP/1.1 400 "))
            #expect(!text.contains("smuggled"))
        }
    }

    @Test("draining waits for a slow reader behind TLS too")
    func drain() async throws {
        try await withTLSServer { server, port, certificate in
            let client = try await TLSClient.connect(port: port, trusting: certificate, isReading: false)
            try await client.send(.get("/large"))
            try await eventually("the request is answered") { server.statistics.requests == 1 && server.statistics.requestsInFlight == 0 }
            async let drained: Void = server.drain(deadline: .seconds(120))
            while server.port != nil { try await Task.sleep(for: .milliseconds(1)) }
            try await client.startReading()
            let text = try await client.readToEnd()
            await drained
            #expect(text.hasSuffix("end"))
        }
    }

    @Test("what is no TLS is closed, and the server goes on")
    func noTLS() async throws {
        try await withTLSServer { server, port, certificate in
            try await offPool {
                for bytes in [String.get("/"), "\u{16}\u{3}\u{1}\u{2}", String(repeating: "x", count: 100_000)] {
                    let client = try RawHTTPClient(port: port)
                    try? client.send(bytes)
                    client.finishWriting()
                    // An alert, an end or a reset: but no answer in plain text.
                    #expect((try? client.readToEnd())?.contains("HTTP/1.1") != true)
                }
            }
            let client = try await TLSClient.connect(port: port, trusting: certificate)
            try await client.send(.get("/after", "Connection: close"))
            #expect(try await client.readToEnd().hasSuffix("GET /after []"))
            try await eventually("every connection is closed") { server.statistics.openConnections == 0 }
            #expect(server.certificate?.failedHandshakes == 3)
        }
    }

    @Test("what a client still sends after it has ended its requests, with or without TLS' own end, does not take its answers away")
    func ends() async throws {
        try await withTLSServer { server, port, certificate in
            for ending in [TLSClient.Ending.ofTLS, .ofTCP] {
                let client = try await TLSClient.connect(port: port, trusting: certificate)
                try await client.send(.get("/1") + .get("/large") + .get("/3"))
                try await client.endOutput(ending)
                let text = try await client.readToEnd()
                #expect(text.contains("GET /1 []") && text.hasSuffix("GET /3 []") && text.utf8.count > 6 << 20, "\(ending)")
            }
            try await eventually("every connection is closed") { server.statistics.openConnections == 0 }
        }
    }

    @Test("a request that TCP cuts off is refused and not run")
    func cutOff() async throws {
        try await withTLSServer { server, port, certificate in
            let client = try await TLSClient.connect(port: port, trusting: certificate)
            try await client.send("POST /cut HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n12345")
            try await client.endOutput(.ofTCP)
            #expect(try await client.readToEnd().hasPrefix("HTTP/1.1 400 "))
            #expect(server.statistics.requests == 0)
        }
    }

    @Test(
        "a slow reader gets every byte of its last answer, however the connection ends", arguments: ["", "Connection: close", "HTTP/1.0"])
    func slowReader(ending: String) async throws {
        try await withTLSServer { server, port, certificate in
            let client = try await TLSClient.connect(port: port, trusting: certificate, isReading: false)
            try await client.send(ending == "HTTP/1.0" ? "GET /large HTTP/1.0\r\n\r\n" : .get("/large", ending.isEmpty ? "A: b" : ending))
            if ending.isEmpty { try await client.endOutput(.ofTLS) }
            try await eventually("the request is answered") { server.statistics.requests == 1 && server.statistics.requestsInFlight == 0 }
            #expect(try await client.readToEnd(atMost: 65_536).hasSuffix("end"))
            try await eventually("the connection is closed") { server.statistics.openConnections == 0 }
        }
    }

    @Test("an idle connection and one that was answered for the last time end with the end of TLS")
    func cleanEnd() async throws {
        try await withTLSServer(configure: { $0.idleTimeout = .milliseconds(100) }) { _, port, certificate in
            for request in [String.get("/"), .get("/", "Connection: close")] {
                let client = try await TLSClient.connect(port: port, trusting: certificate)
                try await client.send(request)
                _ = try await client.readToEnd()
                #expect(try await client.hasEndedCleanly)
            }
        }
    }

    @Test("a client that connects and never shakes hands, or stops in the middle, is closed after the time for a head")
    func silentClients() async throws {
        try await withTLSServer(configure: { $0.headTimeout = .seconds(1) }) { server, port, certificate in
            let hello = try clientHello()
            try await offPool {
                let clients = try (0..<40).map { number in
                    let client = try RawHTTPClient(port: port)
                    if number % 2 == 1 { try client.send(hello) }
                    if number % 4 == 2 { try client.send(Array(hello.prefix(20))) }
                    return client
                }
                try waitUntil { server.statistics.acceptedConnections == 40 }
                // The end, behind the server's part of the handshake where it has begun.
                for client in clients { _ = try client.readToEnd() }
            }
            try await eventually("every connection is closed") { server.statistics.openConnections == 0 }
            let client = try await TLSClient.connect(port: port, trusting: certificate)
            try await client.send(.get("/after", "Connection: close"))
            #expect(try await client.readToEnd().hasSuffix("GET /after []"))
        }
    }

    @Test("half handshakes take no more connections than the limit, and those beyond it are closed")
    func flood() async throws {
        try await withTLSServer(configure: {
            $0.maximumConnections = 10
            $0.maximumRefusals = 5
            $0.headTimeout = .hours(1)
            $0.lingerTimeout = .seconds(1)
        }) { server, port, _ in
            let hello = try clientHello()
            try await offPool {
                var clients: [RawHTTPClient] = []
                for _ in 0..<30 {
                    let client = try RawHTTPClient(port: port)
                    try? client.send(hello)
                    clients.append(client)
                }
                try waitUntil { server.statistics.refusedConnections == 20 }
                #expect(server.statistics.openConnections == 10)
                // Those beyond the limit end: most at once, and five when they did not ask in time.
                var open = clients
                try waitUntil {
                    open.removeAll { hasEnded($0) }
                    return open.count <= 10
                }
                #expect(server.statistics.openConnections == 10)
                withExtendedLifetime(clients) {}
            }
        }
    }

    @Test("a connection beyond the limit is answered 503 through TLS")
    func connectionLimit() async throws {
        try await withTLSServer(configure: {
            $0.maximumConnections = 1
            $0.lingerTimeout = .seconds(20)
        }) { server, port, certificate in
            let first = try await TLSClient.connect(port: port, trusting: certificate)
            try await first.send(.get("/"))
            try await first.received { $0.hasSuffix("GET / []") }
            let second = try await TLSClient.connect(port: port, trusting: certificate)
            try await second.send(.get("/"))
            let text = try await second.readToEnd()
            #expect(text.hasPrefix("HTTP/1.1 503 ") && text.contains("connection: close\r\n"))
            #expect(server.statistics.refusedConnections == 1)
        }
    }

    @Test("draining waits for no handshake")
    func drainDuringHandshake() async throws {
        try await withTLSServer { server, port, _ in
            let clients = try await offPool { try (0..<2).map { _ in ClientBox(try RawHTTPClient(port: port)) } }
            try await offPool {
                try clients[1].client.send(try clientHello())
                _ = try clients[1].client.readSome()
                try waitUntil { server.statistics.openConnections >= 2 }
            }
            // Longer than the test may take.
            await server.drain(deadline: .seconds(3_600))
            #expect(server.statistics.openConnections == 0)
            withExtendedLifetime(clients) {}
        }
    }

    @Test("a request may name its target in absolute form, by either scheme")
    func absoluteForm() async throws {
        try await withTLSServer { _, port, certificate in
            let client = try await TLSClient.connect(port: port, trusting: certificate)
            for scheme in ["https", "http"] {
                try await client.send("GET \(scheme)://localhost:\(port)/a?b HTTP/1.1\r\nHost: localhost:\(port)\r\n\r\n")
                try await client.received { $0.hasSuffix("GET /a?b []") }
            }
        }
    }

    private func withTLSServer(
        configure: (inout HTTPServerConfiguration) -> Void = { _ in }, _ body: (HTTPListener, Int, String) async throws -> Void
    ) async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let pair = try await TestCertificate(in: folder)
        let certificate = try ServerCertificate(
            ServerCertificate.Files(certificate: pair.certificate, key: pair.key),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        try await withServer(
            configure: {
                $0.certificate = certificate
                configure(&$0)
            },
            handler: { request in
                guard request.path == "/large" else { return await echo(request) }
                return .text(String(repeating: "x", count: 6 << 20) + "end")
            }
        ) { server, port in try await body(server, port, pair.certificate) }
    }
}

/// Whether the server has ended the connection, in order or by a reset; drops what can be read before.
private func hasEnded(_ client: RawHTTPClient) -> Bool {
    do {
        while try client.hasBytesToRead(withinMilliseconds: 0) {
            if try client.readSome().isEmpty { return true }
        }
        return false
    } catch {
        return true
    }
}

/// The first message of a handshake.
private func clientHello() throws -> [UInt8] {
    let channel = EmbeddedChannel()
    defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
    let context = try NIOSSLContext(configuration: .makeClientConfiguration())
    try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: "localhost"))
    channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
    return Array(try #require(try channel.readOutbound(as: ByteBuffer.self)).readableBytesView)
}

/// A client that speaks TLS and collects what it reads.
private struct TLSClient {
    let channel: any Channel
    let collector: Collector

    /// Safety of `@unchecked Sendable`: the text is touched on the channel's loop only.
    final class Collector: ChannelInboundHandler, @unchecked Sendable {
        typealias InboundIn = ByteBuffer
        var bytes = ByteBuffer()
        var hasEnded = false
        /// Whether TLS was ended by the server before the connection.
        var hasEndedCleanly = true

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            bytes.writeImmutableBuffer(Self.unwrapInboundIn(data))
        }
        func channelInactive(context: ChannelHandlerContext) {
            hasEnded = true
        }
        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            hasEndedCleanly = false
            context.close(promise: nil)
        }
    }

    /// How a client says that it sends no more.
    enum Ending {
        case ofTLS, ofTCP
    }

    /// Ends our sending side and keeps reading.
    func endOutput(_ ending: Ending) async throws {
        switch ending {
        case .ofTLS: try await channel.close(mode: .output)
        case .ofTCP:
            try await channel.eventLoop.submit { [channel] in
                let promise = channel.eventLoop.makePromise(of: Void.self)
                try channel.pipeline.syncOperations.context(handlerType: Bottom.self).close(mode: .output, promise: promise)
                return promise.futureResult
            }.flatMap { $0 }.get()
        }
    }

    /// Stands between the socket and TLS.
    private final class Bottom: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
    }

    static func connect(port: Int, trusting certificate: String, isReading: Bool = true) async throws -> TLSClient {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .file(certificate)
        let context = try NIOSSLContext(configuration: configuration)
        let collector = Collector()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.socketOption(.so_rcvbuf), value: 65_536)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        Bottom(), NIOSSLClientHandler(context: context, serverHostname: "localhost"), collector)
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        if !isReading {
            // The handshake is over once something was sent; from then on nothing is read.
            try await channel.writeAndFlush(ByteBuffer())
            try await channel.setOption(.autoRead, value: false).get()
        }
        return TLSClient(channel: channel, collector: collector)
    }

    func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }

    func startReading() async throws {
        try await channel.setOption(.autoRead, value: true).get()
        channel.read()
    }

    /// Waits until what has arrived since the last time is as it should be, and forgets it.
    func received(_ isComplete: @escaping @Sendable (String) -> Bool) async throws {
        try await eventually("the answer is complete") {
            try await channel.eventLoop.submit { [collector] in
                guard isComplete(String(buffer: collector.bytes)) else { return false }
                collector.bytes.clear()
                return true
            }.get()
        }
    }

    var hasEndedCleanly: Bool {
        get async throws { try await channel.eventLoop.submit { [collector] in collector.hasEndedCleanly }.get() }
    }

    /// Reads to the end, no more than this many bytes at a time.
    func readToEnd(atMost limit: Int) async throws -> String {
        try await channel.setOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: limit)).get()
        try await startReading()
        return try await readToEnd()
    }

    func readToEnd() async throws -> String {
        try await eventually("the server ends the connection", within: .seconds(60)) {
            try await channel.eventLoop.submit { [collector] in collector.hasEnded }.get()
        }
        return try await channel.eventLoop.submit { [collector] in String(buffer: collector.bytes) }.get()
    }
}
