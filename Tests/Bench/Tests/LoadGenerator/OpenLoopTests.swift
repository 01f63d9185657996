import LoadGenerator
import NIOCore
import TestSupport
import Testing

/// Serialized, because the tests measure time.
@Suite("open loop", .serialized)
struct OpenLoopTests {
    private static let request = [ByteBuffer(string: "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")]

    @Test("a stall of the server delays every request that is due meanwhile, not only those that have a connection")
    func coordinatedOmission() async throws {
        let result = try await SmallServer.run(.stall(.milliseconds(500), atRequest: 300)) { server in
            try await OpenLoop.run(port: server.port, requests: Self.request, rate: 1_000, seconds: 2, connections: 8)
        }
        #expect(result.sent == 2_000 && result.answered == 2_000 && result.errors.isEmpty, "\(result)")
        // A quarter of the requests were due during the stall, evenly spaced, so the slowest twentieth of all waited at least 400 ms.
        // In a closed loop each of the eight connections has one slow answer, which is 0.4 % of all, so not even its p99 would show
        // the stall. A busy machine only adds to a latency.
        #expect(result.latency.p99 > 400_000, "\(result)")
        #expect(result.latency.p90 > 200_000, "\(result)")
        #expect(result.latency.max >= 499_000, "\(result)")
        // A busy machine may delay the generator itself, which its result reports.
        #expect(result.latency.p50 < 100_000 || !result.generator.keptUp, "\(result)")
    }

    @Test("the rate is held, and each request is answered once")
    func rate() async throws {
        let result = try await SmallServer.run { server in
            try await OpenLoop.run(port: server.port, requests: Self.request, rate: 2_000, seconds: 1.5, connections: 16)
        }
        #expect(result.due == 3_000 && result.sent == 3_000 && result.answered == 3_000 && result.errors.isEmpty, "\(result)")
        // A lower rate is allowed only where the machine was too busy.
        #expect(result.achievedRate < 2_100, "\(result)")
        #expect(result.achievedRate > 1_900 || !result.generator.keptUp || result.latency.max > 20_000, "\(result)")
        #expect(result.latency.p50 > 0 && result.latency.p50 <= result.latency.p99 && result.latency.p99 <= result.latency.max)
        #expect(result.generator.cpuShare > 0)
    }

    @Test("above the maximum rate all connections stay busy, and requests without an answer in time are unanswered")
    func overload() async throws {
        let result = try await SmallServer.run(.stall(.seconds(4), atRequest: 100)) { server in
            var plan = OpenLoop(port: server.port, requests: Self.request, rate: 1_000, seconds: 0.2, connections: 2)
            // Long enough for a busy machine to answer the requests before the stall, and shorter than the stall.
            plan.patience = .seconds(2)
            return try await plan.run()
        }
        #expect(result.due == 200 && result.answered == 99, "\(result)")
        #expect(result.sent == 101 && result.errors.unanswered == 101, "\(result)")
        #expect(result.achievedRate < 600)
    }

    @Test("requests are sent in turn and statuses are counted")
    func statuses() async throws {
        let conflict = "HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n"
        let result = try await SmallServer.run(.inTurn([SmallServer.ok, conflict, conflict])) { server in
            try await OpenLoop.run(port: server.port, requests: Self.request, rate: 500, seconds: 0.6, connections: 4)
        }
        #expect(result.statuses == [200: 100, 409: 200] && result.errors.isEmpty, "\(result)")
    }

    @Test("a connection that the server closes costs its request, is counted, and another takes its place")
    func closedConnections() async throws {
        let result = try await SmallServer.run(.hangUp(every: 50)) { server in
            try await OpenLoop.run(port: server.port, requests: Self.request, rate: 500, seconds: 1, connections: 2)
        }
        #expect(result.sent == 500 && result.answered == 490, "\(result)")
        #expect(result.errors == OpenLoopResult.Errors(closed: 10, replaced: 10), "\(result)")
    }

    @Test("an answer that says it is the connection's last counts, and one that is not understood is an error")
    func closingAnswers() async throws {
        let last = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        let result = try await SmallServer.run(.inTurn([SmallServer.ok, last, chunked, SmallServer.ok])) { server in
            try await OpenLoop.run(port: server.port, requests: Self.request, rate: 200, seconds: 0.2, connections: 3)
        }
        #expect(result.sent == 40 && result.statuses == [200: 30], "\(result)")
        #expect(result.errors == OpenLoopResult.Errors(malformed: 10, replaced: 20), "\(result)")
    }

    @Test("without a server the run fails instead of measuring nothing")
    func nobodyThere() async throws {
        let port = try TemporaryRedis.freePort()
        await #expect(throws: (any Error).self) {
            try await OpenLoop.run(port: port, requests: Self.request, rate: 100, seconds: 1, connections: 3)
        }
    }
}
