import API
import App
import Foundation
import HTTPServer
import NIOCore
import Redis
import Services
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Limits of clients and of queues, over sockets")
    struct LimitTests {}
}

extension EndToEnd.LimitTests {
    private static func limits(user: String? = nil, address: String? = nil, shared: Bool = false) throws -> RequestLimits {
        var limits = RequestLimits.withoutShedding
        limits.user = try user.map { try #require(RateLimit($0)) }
        limits.address = try address.map { try #require(RateLimit($0)) }
        limits.areShared = shared
        // So long that only a hang takes longer.
        limits.patience.deadline = .seconds(120)
        return limits
    }

    @Test("a user whose connections spread over loops gets the burst once", arguments: [false, true])
    func loops(shared: Bool) async throws {
        var setup = LiveService.Setup()
        setup.loops = 4
        setup.limits = try Self.limits(user: "10/h", shared: shared)
        try await LiveService.run(setup) { live in
            if shared { try await eventually("Redis is connected") { live.running.services.redis.isConnected } }
            let user = try await live.newUser()
            try await live.warmConnections(32)
            let answers = try await withThrowingTaskGroup { group in
                for _ in 0..<64 { group.addTask { try await user.get("/users/\(user.id)/balance") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.count { $0.status == 200 } == 10 && answers.count { $0.status == 429 } == 54)
            for answer in answers {
                #expect(answer[header: "ratelimit-policy"] == #""user";q=10;w=3600"#)
                let state = try #require(answer[header: "ratelimit"])
                #expect(state.wholeMatch(of: #/"user";r=\d;t=\d+/#) != nil && state.contains("r=0;") || answer.status == 200, "\(state)")
            }
            #expect(Set(answers.filter { $0.status == 200 }.compactMap { $0[header: "ratelimit"]?.split(separator: ";")[1] }).count == 10)
            let refusal = try #require(answers.first { $0.status == 429 })
            #expect(refusal.code == "TOO_MANY_REQUESTS" && (1...360).contains(Int(refusal[header: "retry-after"] ?? "") ?? 0))
            let keys = try await live.redis("KEYS limit:*").array?.compactMap(\.string) ?? []
            #expect(keys == (shared ? ["limit:{requests}:user:\(user.id)"] : []))
        }
    }

    @Test("an answer with these fields is the same answer otherwise: one to HEAD has no body, one to a closing client closes")
    func forms() async throws {
        var setup = LiveService.Setup()
        setup.limits = try Self.limits(address: "1000/h")
        try await LiveService.run(setup) { live in
            let port = try #require(live.running.server.port)
            try await offPool {
                let client = try RawHTTPClient(port: port)
                let head = try client.exchange("HEAD /api/v1/products HTTP/1.1\r\nHost: test\r\n\r\n", isHead: true)
                #expect(head.status == 200 && head.body.isEmpty)
                let closing = try client.exchange("GET /api/v1/products HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                #expect(closing.status == 200 && closing.body.contains("items"))
                for (answer, left) in [(head, 999), (closing, 998)] {
                    #expect(answer.headers.first { $0.name == "ratelimit" }?.value.hasPrefix(#""address";r=\#(left);t="#) == true)
                    #expect(answer.headers.contains { $0.name == "date" && $0.value.hasSuffix("GMT") && $0.value.count == 29 })
                }
            }
        }
    }

    @Test("while Redis is away, each service counts alone: the user gets no more than the burst, and no answer fails")
    func outage() async throws {
        let redis = try await offPool { try TemporaryRedis() }
        defer { redis.end() }
        var setup = LiveService.Setup()
        setup.redis = try RedisEndpoint(url: redis.url)
        setup.limits = try Self.limits(user: "6/h", shared: true)
        try await LiveService.run(setup) { live in
            let user = try await live.newUser()
            try await eventually("Redis is connected") { live.running.services.redis.isConnected }
            for _ in 0..<3 { _ = try await user.get("/users/\(user.id)").expect(200) }
            #expect(try await live.redis("EXISTS limit:{requests}:user:\(user.id)").integer == 1)
            redis.kill()
            try await eventually("the connection is lost") { !live.running.services.redis.isConnected }
            for _ in 0..<3 { _ = try await user.get("/users/\(user.id)").expect(200) }
            _ = try await user.get("/users/\(user.id)").expect(429)
        }
    }

    @Test("serve takes the flags, and the limits count at its port")
    func flags() async throws {
        try await withDataFolder { folder in
            let flags = ["--port", "0", "--address-rate", "2/h", "--user-rate", "600/m:50", "--trusted-proxies", "127.0.0.0/8,::1"]
            try await withServe(folder, flags, environment: ["FIRSTCOME_SHED_AFTER": "0"]) { serve in
                func status(_ client: String) async throws -> Int {
                    try await offPool {
                        try RawHTTPClient(port: serve.port).exchange(
                            "GET /api/v1/products HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: \(client)\r\n\r\n"
                        ).status
                    }
                }
                var statuses: [Int] = []
                for client in ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"] { statuses.append(try await status(client)) }
                #expect(statuses == [200, 200, 429, 200])
            }
        }
    }

    static let wrongFlags: [([String], String)] = [
        (["--user-rate", "20"], "20"), (["--address-rate", "x/s"], "x/s"), (["--shed-after", "soon"], "soon"),
        (["--address-rate", "20/s", "--trusted-proxies", "10.0.0.1/8"], "10.0.0.1/8"),
        (["--limits-in", "redis"], "--limits-in redis needs"),
        (["--limits-in", "disk", "--user-rate", "1/s"], "disk"),
        (["--host", "unix:/tmp/none/http.sock", "--address-rate", "20/s"], "needs --trusted-proxies unix"),
    ]

    @Test("a flag that says nothing useful is refused in words", arguments: wrongFlags.indices)
    func refusedFlags(_ index: Int) async throws {
        let (flags, words) = Self.wrongFlags[index]
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let output = try await Tool.run(["serve", "--data", folder.path] + flags)
        #expect(output.status == 64 && output.standardError.contains(words), "\(output)")
    }
}

extension LiveService {
    /// A command as one types it.
    fileprivate func redis(_ line: String) async throws -> RedisValue {
        try await redis(RedisCommand(words: line.split(separator: " ").map { RedisArgument($0) }))
    }
}
