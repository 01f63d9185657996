import Foundation
import Services
import TestSupport
import Testing

/// A real `firstcome serve` whose store lies on a small disk, with people who call it.
struct ServiceOnDisk: Sendable {
    /// Where the Redis is that the service uses.
    enum RedisPlace: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case elsewhere = "Redis elsewhere"
        case onTheDisk = "the private Redis on the same disk"

        var testDescription: String { rawValue }
    }

    let disk: SmallDisk
    let serve: ServeProcess
    let redisURL: String?
    let admin: Caller
    private let pool: HTTPPool

    /// Starts a service on the disk; its log goes where there is room.
    static func start(
        on disk: SmallDisk, redisURL: String?, log: String, _ arguments: [String] = []
    ) async throws -> ServiceOnDisk {
        let redis = redisURL.map { ["--redis", $0] } ?? []
        let serve = try await ServeProcess.start(
            disk.folder, ["--port", "0"] + redis + arguments, log: log, wrapping: disk.command)
        let pool = HTTPPool(port: serve.port, maximumConnections: 64)
        let token = try await disk.tool("token", "--admin").lines[0]
        return ServiceOnDisk(disk: disk, serve: serve, redisURL: redisURL, admin: Caller(pool: pool, token: token), pool: pool)
    }

    /// Runs `body` with a disk, a folder for logs elsewhere, and the URL of a Redis elsewhere where one is wanted.
    static func withDisk(
        mebibytes: Int = 16, redis place: RedisPlace, _ body: (SmallDisk, _ log: String, _ redisURL: String?) async throws -> Void
    ) async throws {
        let redis = place == .elsewhere ? try await offPool { try TemporaryRedis() } : nil
        let folder = TemporaryFolder()
        defer {
            redis?.end()
            folder.remove()
        }
        try await withSmallDisk(mebibytes: mebibytes) { try await body($0, folder.path + "/serve.log", redis?.url) }
    }

    func caller(user id: Int64) async throws -> Caller {
        Caller(pool: pool, token: try await disk.tool("token", "--user", String(id)).lines[0], id: id)
    }

    /// Users 1 to `count`, each with a balance.
    func newUsers(_ count: Int64, balance: Int64) async throws -> [Caller] {
        let tokens = try await disk.tool("token", "--user", "1-\(count)").lines
        var users: [Caller] = []
        for (index, token) in tokens.enumerated() {
            _ = try await admin.post("/users", #"{"name": "이바다"}"#).expect(201)
            let user = Caller(pool: pool, token: token, id: Int64(index + 1))
            try await user.charge(balance)
            users.append(user)
        }
        return users
    }

    /// The audit of this folder, beside the running service.
    func audit() async throws -> Tool.Output {
        try await disk.tool(["audit"] + (redisURL.map { ["--redis", $0] } ?? []))
    }

    /// The value of a metric without labels.
    func metric(_ name: String) async throws -> Int {
        let text = try await admin.get("/metrics").expect(200).text
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + " ") })
        return try #require(Double(line.dropFirst(name.count + 1)).map { Int($0) })
    }

    /// Fills the disk, and the last page of the private Redis' append-only file with it: a log that ends in the middle of a page could
    /// still take a few commands.
    func fillDisk() async throws {
        try disk.fill()
        guard redisURL == nil else { return }
        let (socket, value) = (disk.pathFromOutside + "/redis/redis.sock", String(repeating: "x", count: 5_000))
        try await eventually("Redis cannot write its log") {
            try await Tool.run(program: ["redis-cli", "-s", socket, "SET", "filler", value]).standardOutput.contains("MISCONF")
        }
    }
}

extension SmallDisk {
    /// Runs a command of the executable on the data folder that is this disk.
    func tool(_ arguments: [String]) async throws -> Tool.Output {
        // From outside, SQLite would follow the path to the folder under the mount: it resolves links by their text.
        try await Tool.run(arguments + ["--data", folder], wrapping: command)
    }

    func tool(_ arguments: String...) async throws -> Tool.Output { try await tool(arguments) }
}
