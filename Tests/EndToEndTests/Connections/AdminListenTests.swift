import App
import Foundation
import HTTPServer
import Services
import TestSupport
import Testing

extension EndToEnd {
    @Suite("serve with --admin-listen")
    struct AdminListenTests {}
}

extension EndToEnd.AdminListenTests {
    private static func caller(_ port: Int, _ token: String? = nil) -> Caller {
        Caller(pool: HTTPPool(port: port, maximumConnections: 4), token: token)
    }

    @Test("operators find metrics, readiness and what admins do on the second address alone; the first line of output is as ever")
    func routes() async throws {
        try await withDataFolder { folder in
            try await withServe(folder, ["--port", "0", "--admin-listen", "127.0.0.1:0"]) { serve in
                #expect(
                    serve.firstLine
                        == "firstcome listens on http://127.0.0.1:\(serve.port) (data \(folder), Redis unix://\(folder)/redis/redis.sock)")
                #expect(try await serve.operatorsPlace.hasPrefix("http://127.0.0.1:"))
                let token = try await Tool.run("token", "--data", folder, "--admin").lines[0]
                let (clients, operators) = (Self.caller(serve.port, token), Self.caller(try await serve.operatorsPort, token))
                try await eventually("the service is ready") { try await operators.get("/readyz").status == 200 }
                for path in ["/metrics", "/readyz"] {
                    #expect(try await clients.get(path).code == "NOT_FOUND")
                    #expect(try await operators.get(path).status == 200)
                }
                for path in ["/healthz", "/openapi.json", "/products"] {
                    for caller in [clients, operators] { #expect(try await caller.get(path).status == 200, "\(path)") }
                }
                #expect(try await clients.post("/users", #"{"name": "김하늘"}"#).code == "NOT_FOUND")
                _ = try await operators.post("/users", #"{"name": "김하늘"}"#).expect(201)
                _ = try await operators.makeProduct()
                let refused = try await clients.patch("/products/1", #"{"price": 1}"#).expect(405)
                #expect(refused[header: "allow"] == "GET, HEAD")
                _ = try await operators.patch("/products/1", #"{"price": 1}"#).expect(200)
                let coupon = try await operators.makeCoupon()
                let user = Self.caller(serve.port, try await Tool.run("token", "--data", folder, "--user", "1").lines[0])
                #expect(try await user.claim(coupon).status == 201)
                #expect(try await operators.claim(coupon).code == "NOT_FOUND")
                #expect(try await operators.get("/users/1/coupons").items().count == 1)
                #expect(try await serve.end() == 0)
            }
        }
    }

    @Test("the second address can be a unix socket, which is as the first one would be")
    func unixSocket() async throws {
        try await withDataFolder { folder in
            let socket = folder + "/admin.sock"
            try await withServe(folder, ["--port", "0"], environment: ["FIRSTCOME_ADMIN_LISTEN": "unix:\(socket)"]) { serve in
                #expect(try await serve.operatorsPlace == "unix:\(socket)")
                let answer = try await offPool {
                    try RawHTTPClient(unixSocketPath: socket).exchange("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                }
                #expect(answer.status == 200)
                let attributes = try FileManager.default.attributesOfItem(atPath: socket)
                #expect(attributes[.posixPermissions] as? Int == 0o660)
                #expect(try await serve.end() == 0)
                #expect(!FileManager.default.fileExists(atPath: socket))
            }
        }
    }

    @Test(
        "an address that cannot be one is an error in words",
        arguments: [
            ("9090", "HOST:PORT"), ("localhost", "HOST:PORT"), ("localhost:x", "HOST:PORT"), ("localhost:65536", "HOST:PORT"),
            ("::1:9090", "brackets"), (":9090", "the host is missing"), ("unix:relative", "absolute path"),
            ("unix:/" + String(repeating: "a", count: 120), "at most 107 bytes"),
        ])
    func malformed(address: String, reason: String) async throws {
        let output = try await Tool.run("serve", "--data", "/tmp/unused", "--admin-listen=\(address)")
        #expect(output.status == 64 && output.standardOutput.isEmpty, "\(output)")
        #expect(output.standardError.contains("--admin-listen") && output.standardError.contains(reason), "\(output)")
    }

    @Test("an address that is taken, also by the first one, ends the start with one line and leaves no Redis behind")
    func taken() async throws {
        try await withDataFolder { folder in
            let port = try TemporaryRedis.freePort()
            let own = ["serve", "--data", folder, "--port", String(port), "--admin-listen", "127.0.0.1:\(port)"]
            let same = try await Tool.run(own)
            #expect(same.status == 1 && same.complaint.count == 1 && same.standardError.contains("another address"), "\(same)")
            let other = try await offPool { try TemporaryRedis(onTCP: true) }
            defer { other.end() }
            let taken = try #require(other.port)
            let foreign = try await Tool.run(["serve", "--data", folder, "--port", "0", "--admin-listen", "127.0.0.1:\(taken)"])
            #expect(foreign.status == 1 && foreign.standardOutput.isEmpty && foreign.complaint.count == 1, "\(foreign)")
            #expect(foreign.standardError.contains("http://127.0.0.1:\(taken) is in use by another program"), "\(foreign)")
            #expect(try PrivateRedis(dataFolder: folder).runningPID == nil)
        }
    }
}

/// A service in this process with a listener for operators.
extension EndToEnd.AdminListenTests {
    private static func withService(
        _ change: (inout LiveService.Setup) -> Void = { _ in }, _ body: (LiveService, Caller) async throws -> Void
    ) async throws {
        var setup = LiveService.Setup()
        setup.operators = try ListenAddress("127.0.0.1:0", flag: "--admin-listen").operatorsConfiguration
        change(&setup)
        try await LiveService.run(setup) { live in
            try await body(live, Self.caller(try #require(live.running.operatorsServer?.port), live.admin.token))
        }
    }

    @Test("requests of operators are answered while clients have reached their limit of requests in progress")
    func inFlight() async throws {
        try await Self.withService {
            $0.maximumRequestsInFlight = 0
        } _: { live, operators in
            let refused = try await live.guest.get("/healthz")
            #expect(refused.status == 429)
            #expect(try await operators.get("/metrics").text.contains("\nfirstcome_http_requests_refused_total 1\n"))
            #expect(try await operators.post("/users", #"{"name": "김하늘"}"#).status == 201)
        }
    }

    @Test("while the service stops, operators see metrics and readiness until the last client has its answer")
    func draining() async throws {
        try await withDataFolder { folder in
            var setup = LiveService.Setup()
            setup.drainDeadline = .seconds(120)
            setup.operators = try ListenAddress("127.0.0.1:0", flag: "--admin-listen").operatorsConfiguration
            let running = try await LiveService.start(in: folder, setup)
            let client: SlowClient
            do {
                client = try await Self.clientThatReadsNothing(running)
            } catch {
                await running.stop()
                throw error
            }
            running.announceEnd()
            // Where the checks fail, the client is closed, and the service can end.
            async let end: Void = running.stop()
            let operators = Self.caller(try #require(running.operatorsServer?.port))
            try await eventually("clients can no longer connect") { running.server.port == nil }
            for _ in 0..<3 {
                #expect(try await operators.get("/readyz").expect(503).text.contains("draining"))
                // The client's and this one.
                #expect(try await operators.get("/metrics").text.contains("\nfirstcome_http_connections 2\n"))
            }
            let answers = try await offPool {
                var answers = AnswerStream()
                while case let bytes = try client.client.readSome(), !bytes.isEmpty { try answers.take(bytes) }
                return answers
            }
            #expect(answers.isComplete && answers.saidClose && answers.statuses.allSatisfy { $0 == 200 })
            await end
            await #expect(throws: (any Error).self) { try await operators.get("/healthz") }
        }
    }

    /// A client that has asked for more than the buffers of both sockets take.
    private static func clientThatReadsNothing(_ running: RunningService) async throws -> SlowClient {
        let port = try #require(running.server.port)
        let client = try await offPool {
            let client = SlowClient(try RawHTTPClient(port: port, receiveBufferBytes: 4_096))
            try client.client.send(String(repeating: "GET /openapi.json HTTP/1.1\r\nHost: test\r\n\r\n", count: 400))
            return client
        }
        try await eventually("the first answers are waiting") { running.server.statistics.requests > 0 }
        return client
    }

    /// Hands a client from one thread to the next, one at a time.
    ///
    /// Safety of `@unchecked Sendable`: one `offPool` body uses it at a time, each awaited.
    private final class SlowClient: @unchecked Sendable {
        let client: RawHTTPClient
        init(_ client: RawHTTPClient) { self.client = client }
    }
}
