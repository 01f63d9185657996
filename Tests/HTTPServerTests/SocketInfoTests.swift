import Dispatch
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

@Suite("How long bytes wait in a socket")
struct SocketInfoTests {
    private struct Seen {
        var waits: [Int32] = []
        var loop: (any EventLoop)?
    }

    @Test("one read of 64 is measured: the request that came while its loop was held up says for how long")
    func waited() async throws {
        let seen = Mutex(Seen())
        let responder: HTTPResponder = { (request: consuming HTTPRequest) in
            let (waited, loop) = (request.waited, request.eventLoop)
            seen.withLock { seen in
                seen.waits.append(waited)
                seen.loop = loop
            }
            return .now(.text("done"))
        }
        try await withServer(responder: responder) { _, port in
            try await offPool {
                let client = try RawHTTPClient(port: port)
                for _ in 0..<63 { _ = try client.exchange(.get("/")) }
                let loop = try #require(seen.withLock { $0.loop })
                let (isHeldUp, mayGoOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
                loop.execute {
                    isHeldUp.signal()
                    mayGoOn.wait()
                }
                isHeldUp.wait()
                try client.send(.get("/"))
                // A lower bound: on a busy machine the bytes wait longer.
                usleep(200_000)
                mayGoOn.signal()
                #expect(try client.readResponse().status == 200)
                #expect(try client.exchange(.get("/")).status == 200)
            }
        }
        let waits = seen.withLock { $0.waits }
        #expect(waits.count == 65 && waits.indices.filter { waits[$0] >= 0 } == [63])
        // The kernel's clock moves in steps of up to 10 ms.
        #expect(waits[63] >= 180)
    }

    @Test("a unix socket knows no such time")
    func unixSocket() async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let path = folder.path + "/http.sock"
        let waits = Mutex<[Int32]>([])
        let responder: HTTPResponder = { (request: consuming HTTPRequest) in
            let waited = request.waited
            waits.withLock { $0.append(waited) }
            return .now(.text("done"))
        }
        try await withServer(configure: { $0.address = .unixSocket(path: path) }, responder: responder) { _, _ in
            try await offPool {
                let client = try RawHTTPClient(unixSocketPath: path, timeoutMilliseconds: 60_000)
                for _ in 0..<130 { #expect(try client.exchange(.get("/")).status == 200) }
            }
        }
        #expect(waits.withLock { $0 } == Array(repeating: -1, count: 130))
    }
}
