import Foundation
import JSON
import NIOCore
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Access log, request ids and traces")
    struct AccessLogTests {}
}

extension EndToEnd.AccessLogTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    private static func callers(_ serve: ServeProcess, _ folder: String) async throws -> (admin: Caller, user: Caller) {
        let pool = HTTPPool(port: serve.port, maximumConnections: 16)
        let tokens = try await [["--admin"], ["--user", "1"]].asyncMap {
            try #require(try await Tool.run(["token", "--data", folder] + $0).lines.first)
        }
        let admin = Caller(pool: pool, token: tokens[0])
        try await eventually("the service is ready") { try await admin.get("/readyz").status == 200 }
        return (admin, Caller(pool: pool, token: tokens[1], id: 1))
    }

    private static func lines(_ path: String) throws -> [JSONValue] {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try #require(text.isEmpty || text.hasSuffix("\n"), "\(text.suffix(300))")
        return try text.split(separator: "\n").map { try JSONParser.parse(ByteBuffer(string: String($0))) }
    }

    @Test("behind a trusted proxy a line names the client that the proxy names; another peer's word is not taken")
    func remote() async throws {
        let client = ["X-Forwarded-For": "203.0.113.9"]
        for (proxies, remote) in [("127.0.0.0/8", "203.0.113.9"), ("10.0.0.0/8", "127.0.0.1")] {
            try await withDataFolder { folder in
                let path = folder + "/access.log"
                try await withServe(folder, ["--port", "0", "--access-log", path, "--trusted-proxies", proxies]) { serve in
                    let (admin, user) = try await Self.callers(serve, folder)
                    _ = try await user.call("GET", "/users/1/balance", headers: client).expect(404)
                    _ = try await admin.call("GET", "/nothing", headers: client).expect(404)
                    await admin.pool.close()
                    #expect(try await serve.end() == 0)
                }
                let lines = try Self.lines(path)
                #expect(lines.suffix(2).map { $0["remote"]?.string } == [remote, remote])
                #expect(lines[0]["remote"]?.string == "127.0.0.1")
            }
        }
    }

    @Test("serve logs every request with its route and sender and never a token; a rotation under load and the end lose no line")
    func rotation() async throws {
        try await withDataFolder { folder in
            let path = folder + "/access.log"
            try await withServe(folder, ["--port", "0"], environment: ["FIRSTCOME_ACCESS_LOG": path]) { serve in
                let (admin, user) = try await Self.callers(serve, folder)
                _ = try await admin.post("/users", #"{"name": "김하늘"}"#).expect(201)
                let target = "/users/2/balance?access_token=\(user.token ?? "")"
                let failed = try await user.call("GET", target, headers: ["X-Request-Id": "own-1"])
                #expect(failed.status == 403 && failed[header: "x-request-id"] == "own-1")
                let load = Load()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<4 {
                        group.addTask {
                            while !load.done.load(ordering: .relaxed) {
                                _ = try await user.get("/users/1/balance", headers: ["X-Request-Id": "load"]).expect(200)
                                load.sent.wrappingAdd(1, ordering: .relaxed)
                            }
                        }
                    }
                    for index in 0..<3 {
                        let before = load.sent.load(ordering: .relaxed)
                        try await eventually("requests go on") { load.sent.load(ordering: .relaxed) > before + 50 }
                        try FileManager.default.moveItem(atPath: path, toPath: "\(path).\(index)")
                        serve.send(SIGHUP)
                        try await eventually("there is a new file") { FileManager.default.fileExists(atPath: path) }
                    }
                    load.done.store(true, ordering: .relaxed)
                    try await group.waitForAll()
                }
                #expect(try await serve.end() == 0)
                let files = [path] + (0..<3).map { "\(path).\($0)" }
                let lines = try files.flatMap(Self.lines)
                let loaded = lines.filter { $0["request"] == .string("load") }
                #expect(loaded.count == load.sent.load(ordering: .relaxed))
                #expect(loaded.allSatisfy { $0["route"] == .string("/api/v1/users/{userId}/balance") && $0["user"] == .integer(1) })
                let refused = try #require(lines.first { $0["request"] == .string("own-1") })
                #expect(refused["status"] == .integer(403) && refused["path"] == .string("/api/v1/users/2/balance"))
                #expect(refused["role"] == .string("user") && refused["user"] == .integer(1))
                let created = try #require(lines.first { $0["method"] == .string("POST") })
                #expect(created["role"] == .string("admin") && created["status"] == .integer(201))
                let secrets = ["access_token", try #require(user.token), try #require(admin.token)]
                for file in files {
                    let text = try String(contentsOfFile: file, encoding: .utf8)
                    for secret in secrets { #expect(!text.contains(secret)) }
                }
                #expect(serve.standardError.contains("reread the access log"))
            }
        }
    }

    @Test("with - the lines follow the first line on standard output, and a Redis stream and the log share a request's trace")
    func standardOutput() async throws {
        try await withDataFolder { folder in
            try await withServe(folder, ["--port", "0", "--access-log", "-", "--log-level", "debug"]) { serve in
                let (admin, user) = try await Self.callers(serve, folder)
                _ = try await admin.post("/users", #"{"name": "김하늘"}"#).expect(201)
                try await user.charge(10_000)
                let product = try await admin.post("/products", #"{"name": "Tea", "price": 100, "stock": 10}"#).expect(201)
                    .int("productId")
                let body = #"{"items": [{"productId": \#(product), "quantity": 1}]}"#
                let sale = try await user.call(
                    "POST", "/checkout", body: body, headers: ["traceparent": Self.traceParent, "X-Request-Id": "sale-1"])
                #expect(try sale.expect(201)[header: "x-request-id"] == "sale-1")
                #expect(serve.firstLine.hasPrefix("firstcome listens on "))
                try await eventually("the sale is in the access log") { serve.standardOutput.contains("sale-1") }
                let lines = try serve.standardOutput.split(separator: "\n").dropFirst().filter { $0.contains("sale-1") }.map {
                    try JSONParser.parse(ByteBuffer(string: String($0)))
                }
                #expect(lines.count == 1 && lines[0]["trace"] == .string(Self.trace) && lines[0]["status"] == .integer(201))
                let socket = folder + "/redis/redis.sock"
                try await eventually("the event is in the stream, with the trace") {
                    let entries = try await Tool.run(program: ["redis-cli", "-s", socket, "XRANGE", "events:{orders}", "-", "+"])
                    return entries.standardOutput.contains("00-\(Self.trace)-") && !entries.standardOutput.contains(Self.traceParent)
                }
                #expect(serve.standardError.contains("request=sale-1") && serve.standardError.contains("trace=\(Self.trace)"))
            }
        }
    }

    @Test("the platform gets the trace of the request that paid, and none for a request without or with an invalid one")
    func platform() async throws {
        let platform = try await DataPlatformServer { _ in .status(200) }
        try await withDataFolder { folder in
            let arguments = ["--port", "0", "--data-platform", platform.url, "--data-platform-secret", "secret"]
            try await withServe(folder, arguments) { serve in
                let (admin, user) = try await Self.callers(serve, folder)
                _ = try await admin.post("/users", #"{"name": "김하늘"}"#).expect(201)
                try await user.charge(10_000)
                let product = try await admin.post("/products", #"{"name": "Tea", "price": 100, "stock": 10}"#).expect(201)
                    .int("productId")
                let body = #"{"items": [{"productId": \#(product), "quantity": 1}]}"#
                var order = try await user.post("/orders", body).expect(201).int("orderId")
                let payment = try await user.call(
                    "POST", "/payments", body: #"{"orderId": \#(order)}"#, headers: ["traceparent": Self.traceParent]
                ).expect(201).int("paymentId")
                order = try await user.post("/orders", body).expect(201).int("orderId")
                _ = try await user.call(
                    "POST", "/payments", body: #"{"orderId": \#(order)}"#, headers: ["traceparent": Self.traceParent.uppercased()]
                ).expect(201)
                _ = try await admin.call(
                    "POST", "/payments/\(payment)/refunds", body: "{}", headers: ["traceparent": Self.traceParent]
                ).expect(201)
                try await eventually("three events are posted") { platform.taken.count == 3 }
                let posts = platform.posts.sorted { (Int($0.idempotencyKey) ?? 0) < (Int($1.idempotencyKey) ?? 0) }
                #expect(posts[0].traceParent.hasPrefix("00-\(Self.trace)-") && posts[0].traceParent.hasSuffix("-01"))
                #expect(posts[0].traceParent != Self.traceParent && posts[1].traceParent.isEmpty)
                #expect(posts[2].traceParent.hasPrefix("00-\(Self.trace)-") && posts[2].traceParent != posts[0].traceParent)
            }
        }
        await platform.close()
    }

    @Test("an access log that cannot be opened is refused at the start, in one line")
    func notOpened() async throws {
        try await withDataFolder { folder in
            for (path, says) in [("\(folder)/none/access.log", "No such file or directory"), (folder, "Is a directory")] {
                let result = try await Tool.run("serve", "--data", folder, "--port", "0", "--access-log", path)
                #expect(result.status != 0 && result.complaint.count == 1, "\(result)")
                #expect(result.standardError.contains("cannot open the access log \(path): \(says)"), "\(result)")
            }
            let empty = try await Tool.run("serve", "--data", folder, "--access-log", "")
            #expect(empty.status == 64 && empty.standardError.contains("--access-log"), "\(empty)")
        }
    }
}

/// Requests that are sent until they are to end.
private final class Load: Sendable {
    let done = Atomic<Bool>(false)
    let sent = Atomic<Int>(0)
}

extension Sequence {
    fileprivate func asyncMap<Value>(_ transform: (Element) async throws -> Value) async rethrows -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await transform(element)) }
        return values
    }
}
