import Foundation
import JSON
import TestSupport
import Testing

extension EndToEnd {
    @Suite("serve, told to stop with --drain-delay")
    struct DrainDelayTests {}
}

extension EndToEnd.DrainDelayTests {
    private static func isEnding(_ caller: Caller) async throws -> Bool {
        let readiness = try await caller.get("/readyz")
        guard readiness.status == 503 else { return false }
        #expect(readiness.code == "TEMPORARILY_UNAVAILABLE" && readiness[header: "retry-after"] == "1")
        #expect(try readiness.value("missing") == .array([.string("draining")]))
        return true
    }

    @Test("readyz answers 503 at once and everything else goes on, on new connections too, until a second signal ends the process")
    func announcement() async throws {
        try await withDataFolder { folder in
            try await withServe(folder, ["--port", "0", "--drain-delay", "1h"]) { serve in
                let caller = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1))
                try await eventually("the service is ready") { try await caller.get("/readyz").status == 200 }
                serve.send(SIGTERM)
                try await eventually("readyz says that the service stops") { try await Self.isEnding(caller) }
                for path in ["/healthz", "/products/top", "/metrics"] {
                    let answer = try await caller.get(path)
                    #expect(answer.status == 200 && answer[header: "connection"] != "close", "\(path)")
                    let newcomer = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1))
                    #expect(try await newcomer.get(path).status == 200, "\(path)")
                }
                #expect(serve.isRunning)
                // By the signal, not in order.
                #expect(try await serve.end(SIGTERM) == nil)
            }
        }
    }

    @Test("after the delay the service stops in order, and not before")
    func end() async throws {
        try await withDataFolder { folder in
            let environment = ["FIRSTCOME_DRAIN_DELAY": "1500ms"]
            try await withServe(folder, environment: environment) { serve in
                let caller = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1))
                try await eventually("the service is ready") { try await caller.get("/readyz").status == 200 }
                let start = ContinuousClock.now
                #expect(try await serve.end(SIGTERM) == 0)
                #expect(ContinuousClock.now - start >= .milliseconds(1_500))
                await #expect(throws: (any Error).self) {
                    try await Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1)).get("/healthz")
                }
            }
        }
    }

    @Test(
        "a delay is a length of time or none",
        arguments: [("0s", true), ("0", true), ("250ms", true), ("-1s", false), ("5", false), ("x", false)])
    func flag(text: String, isGood: Bool) async throws {
        // The bad time zone ends what would serve otherwise.
        let output = try await Tool.run("serve", "--data", "/tmp/unused", "--drain-delay=\(text)", "--charge-min", "0")
        #expect(output.status == 64 && output.standardError.contains("--drain-delay") == !isGood, "\(output)")
    }
}
