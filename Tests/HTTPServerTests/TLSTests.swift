import Foundation
import HTTPServer
import NIOCore
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
        }
    }

    private func withTLSServer(_ body: (HTTPListener, Int, String) async throws -> Void) async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let pair = try await TestCertificate(in: folder)
        let chain = try NIOSSLCertificate.fromPEMFile(pair.certificate).map { NIOSSLCertificateSource.certificate($0) }
        let context = try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: chain, privateKey: .privateKey(try NIOSSLPrivateKey(file: pair.key, format: .pem))))
        try await withServer(
            configure: {
                $0.configureChannel = { try $0.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context)) }
            },
            handler: { request in
                guard request.path == "/large" else { return await echo(request) }
                return .text(String(repeating: "x", count: 6 << 20) + "end")
            }
        ) { server, port in try await body(server, port, pair.certificate) }
    }
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

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            bytes.writeImmutableBuffer(Self.unwrapInboundIn(data))
        }
        func channelInactive(context: ChannelHandlerContext) {
            hasEnded = true
        }
        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
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
                        NIOSSLClientHandler(context: context, serverHostname: "localhost"), collector)
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

    func readToEnd() async throws -> String {
        try await eventually("the server ends the connection", within: .seconds(60)) {
            try await channel.eventLoop.submit { [collector] in collector.hasEnded }.get()
        }
        return try await channel.eventLoop.submit { [collector] in String(buffer: collector.bytes) }.get()
    }
}
