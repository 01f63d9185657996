import Foundation
import Histograms
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import HTTPServer

@Suite("The lag of event loops")
struct LoopLagTests {
    /// How many timers were more than 100 ms late.
    private static func late(_ server: HTTPListener) -> Int { server.statistics.loopLag.counts.suffix(7).reduce(0, +) }

    @Test("a loop that does something else for long has a timer that runs late")
    func blocked() async throws {
        let loop = Mutex<(any EventLoop)?>(nil)
        try await withServer(configure: { $0.configureChannel = { channel in loop.withLock { $0 = channel.eventLoop } } }) { server, port in
            try await offPool {
                // Timers run while connections are open.
                let client = try RawHTTPClient(port: port)
                defer { client.close() }
                #expect(try client.exchange("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 200)
                let (eventLoop, before) = (try #require(loop.withLock { $0 }), Self.late(server))
                let start = ContinuousClock.now
                while Self.late(server) == before, start.duration(to: .now) < hangLimit {
                    try eventLoop.submit { _ = usleep(300_000) }.wait()
                }
                #expect(Self.late(server) > before)
            }
        }
    }
}
