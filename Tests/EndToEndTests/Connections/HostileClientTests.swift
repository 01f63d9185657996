import Foundation
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
    @Suite("A service among hostile clients")
    struct HostileClientTests {}
}

extension EndToEnd.HostileClientTests {
    /// How long it goes on: a few seconds in `make test`, and as long as the environment says for `make fuzz`.
    private static let connections = TestSettings.number("FIRSTCOME_FUZZ_CONNECTIONS") ?? 1_200
    private static let seconds = TestSettings.number("FIRSTCOME_FUZZ_SECONDS") ?? 12
    /// After so many the allocator and every cache hold what they ever will.
    private static let warmUp = 300
    /// What the process may grow by afterwards: noise of the allocator, and much less than a leak of one buffer for each connection.
    private static let growth = 64 << 20

    @Test("whatever they send, cut, reset or leave unread: it lives, its memory stays flat, and it serves as before")
    func hostileClients() async throws {
        let seed = TestSettings.seed
        print("hostile clients: SEED=\(seed)")
        try await withDataFolder { folder in
            #expect(try await Tool.run("demo", "--data", folder).status == 0)
            let tokens = try await (Tool.run("token", "--data", folder, "--user", "1"), Tool.run("token", "--data", folder, "--admin"))
            try await withServe(folder, environment: EndToEnd.HangUpTests.withoutBacktrace) { serve in
                let targets = HostileTargets(
                    port: serve.port, userID: 1, userToken: try #require(tokens.0.lines.first),
                    adminToken: try #require(tokens.1.lines.first))
                _ = try await Self.attack(0..<Self.warmUp, seed: seed, targets)
                let before = try await Self.atRest(serve)
                let count = try await Self.attack(Self.warmUp..<max(Self.connections, Self.warmUp + 1), seed: seed, targets)
                let after = try await Self.atRest(serve)
                print("hostile clients: \(Self.warmUp + count) connections, from \(before >> 20) to \(after >> 20) MiB")
                #expect(after < before + Self.growth, "SEED=\(seed): from \(before) to \(after) bytes in \(count) connections")
                #expect(serve.isRunning)
                #expect(try await serve.end() == 0, "SEED=\(seed)")
            }
        }
    }

    /// Runs the clients of these numbers, four at a time, until the time is over; answers how many.
    private static func attack(_ numbers: Range<Int>, seed: UInt64, _ targets: HostileTargets) async throws -> Int {
        let next = NextNumber(numbers)
        let end = ContinuousClock.now + .seconds(seconds)
        try await withThrowingTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    try await offPool {
                        while ContinuousClock.now < end, let number = next.take() {
                            var client = HostileClient(seed: seed &+ UInt64(number) &* 0x9E37_79B9_7F4A_7C15, targets: targets)
                            do {
                                try client.run()
                            } catch {
                                next.stop()
                                throw Failed(description: "SEED=\(seed), client \(number): \(error)")
                            }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        return next.taken
    }

    private final class NextNumber: Sendable {
        private let rest: Mutex<Range<Int>>
        private let first: Int

        init(_ numbers: Range<Int>) {
            rest = Mutex(numbers)
            first = numbers.lowerBound
        }

        var taken: Int { rest.withLock { $0.lowerBound - first } }
        func take() -> Int? { rest.withLock { $0.popFirst() } }
        func stop() { rest.withLock { $0 = $0.lowerBound..<$0.lowerBound } }
    }

    struct Failed: Error, CustomStringConvertible {
        let description: String
    }

    /// Waits until no connection and no request is left but the one that asks, and answers the bytes of memory the process holds.
    private static func atRest(_ serve: ServeProcess) async throws -> Int {
        try await eventually("connections and requests are at rest", within: .seconds(120)) {
            let metrics = try await offPool {
                try RawHTTPClient(port: serve.port, timeoutMilliseconds: 60_000).exchange("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n")
            }.body
            return metrics.contains("\nfirstcome_http_connections 1\n") && metrics.contains("\nfirstcome_http_requests_in_flight 0\n")
        }
        let pages = try String(contentsOfFile: "/proc/\(serve.pid)/statm", encoding: .utf8).split(separator: " ")
        return try #require(pages.count > 1 ? Int(pages[1]) : nil) * 4_096
    }
}
