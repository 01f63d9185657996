import HTTPServer
import Logging
import NIOCore
import NIOPosix
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

@Suite("Starting and draining")
struct DrainTests {
    @Test("draining closes idle connections at once, finishes what runs, and accepts nobody")
    func drain() async throws {
        let gate = Gate()
        try await withServer(handler: { request in
            if request.path == "/slow" { await gate.pass() }
            return .text("done")
        }) { server, port in
            let idle = try await offPool { () -> ClientBox in
                let client = try RawHTTPClient(port: port)
                _ = try client.exchange(.get("/"))
                return ClientBox(client)
            }
            let busy = try await offPool { () -> ClientBox in
                let client = try RawHTTPClient(port: port)
                try client.send(.get("/slow") + .get("/after"))
                try waitUntil { gate.entered >= 1 }
                return ClientBox(client)
            }
            async let drained: Void = server.drain(deadline: .seconds(20))
            try await offPool {
                #expect(try idle.client.readsEnd())
                #expect(throws: RawHTTPClient.Failure.self) { _ = try RawHTTPClient(port: port).exchange(.get("/")) }
                gate.open()
                #expect(try busy.client.readResponse()["connection"] == nil)
                let last = try busy.client.readResponse()
                #expect(last.body == "done")
                #expect(last["connection"] == "close")
                #expect(try busy.client.readsEnd())
                busy.client.close()
            }
            await drained
            #expect(server.statistics.openConnections == 0)
        }
    }

    @Test("what still runs at the deadline is cut")
    func deadline() async throws {
        let gate = Gate()
        try await withServer(handler: { _ in
            await gate.pass()
            return .text("too late")
        }) { server, port in
            let box = try await offPool { () -> ClientBox in
                let client = try RawHTTPClient(port: port)
                try client.send(.get("/"))
                try waitUntil { gate.entered >= 1 }
                return ClientBox(client)
            }
            let start = ContinuousClock.now
            await server.drain(deadline: .milliseconds(200))
            let took = start.duration(to: .now)
            #expect(took >= .milliseconds(190) && took < .seconds(5), "took \(took)")
            let isCut = try await offPool { try box.client.readsEnd() }
            #expect(isCut)
            gate.open()
            try await eventually("the handler has finished") { server.statistics.requestsInFlight == 0 }
        }
    }

    @Test("draining twice, and draining what never started, both return")
    func drainTwice() async throws {
        try await withServer { server, _ in
            await server.drain(deadline: .zero)
            await server.drain(deadline: .seconds(5))
            #expect(server.port == nil)
        }
        await makeServer(HTTPServerConfiguration()).drain(deadline: .seconds(5))
    }

    @Test("a server starts once, and says when its port is taken")
    func startOnce() async throws {
        try await withServer { server, port in
            await #expect(throws: HTTPServerError.self) { try await server.start() }
            await #expect(throws: (any Error).self) { try await makeServer(HTTPServerConfiguration(port: port)).start() }
        }
    }

    @Test("it listens on a unix socket, replaces a stale one, and removes its own")
    func unixSocket() async throws {
        let path = "/tmp/firstcome-http-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        defer { unlink(path) }
        for _ in 0..<2 {
            let server = makeServer(HTTPServerConfiguration(unixSocketPath: path))
            try await server.start()
            let response = try await offPool { try RawHTTPClient(unixSocketPath: path).exchange(.post("/u", "body")) }
            #expect(response.body == "POST /u [body]")
            #expect(server.port == nil)
            await server.drain(deadline: .seconds(2))
            #expect(access(path, F_OK) != 0)
        }
        // A socket file whose server died without removing it.
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        _ = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        close(descriptor)
        #expect(access(path, F_OK) == 0)
        let server = makeServer(HTTPServerConfiguration(unixSocketPath: path))
        try await server.start()
        let response = try await offPool { try RawHTTPClient(unixSocketPath: path).exchange(.get("/")) }
        #expect(response.status == 200)
        await server.drain(deadline: .seconds(2))
    }

    @Test("every loop of the group serves, each with an executor of its own")
    func severalLoops() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 3)
        let server = HTTPListener(
            configuration: HTTPServerConfiguration(), eventLoopGroup: group,
            handler: { .text("\(ObjectIdentifier($0.eventLoop))") }, refusalResponse: { .text(status: $0.status, "") },
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        try await server.start()
        let port = server.port ?? 0
        let loops = try await offPool {
            let clients = try (0..<9).map { _ in try RawHTTPClient(port: port) }
            return Set(try clients.map { try $0.exchange(.get("/")).body })
        }
        #expect(loops.count == 3)
        let executors = group.makeIterator().compactMap { server.executor(on: $0) }
        #expect(Set(executors.map { ObjectIdentifier($0) }).count == 3)
        await server.drain(deadline: .seconds(2))
        try await group.shutdownGracefully()
    }

    private func makeServer(_ configuration: HTTPServerConfiguration) -> HTTPListener {
        HTTPListener(
            configuration: configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, handler: echo,
            refusalResponse: { .text(status: $0.status, "") },
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        )
    }
}
