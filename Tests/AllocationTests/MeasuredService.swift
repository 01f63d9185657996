import Foundation
import TestSupport
import Testing

/// The release build of the service in a process of its own, its allocations counted, with people and goods in it.
struct MeasuredService: Sendable {
    static let people = 200

    let guest: Caller
    let admin: Caller
    let users: [Caller]
    let product: Int64
    /// The first user has its only unit.
    let soldOutCoupon: Int64
    let port: Int
    private let redis: TemporaryRedis
    private let meter: any Meter
    private let pid: Int32
    /// What its timers cost in a second without requests.
    private(set) var costAtRest = 0.0

    @TaskLocal static var current: MeasuredService?

    /// The release build, where the Makefile says that there is one.
    static var releaseBinary: String? { ProcessInfo.processInfo.environment["FIRSTCOME_RELEASE"] }

    /// Runs `body` beside the service. Everything is gone afterwards, however `body` ends.
    static func run(_ binary: String, counting cost: Cost, _ body: @Sendable (MeasuredService) async throws -> Void) async throws {
        let folder = MemoryFolder()
        defer { folder.remove() }
        let redis = try await offPool { try TemporaryRedis() }
        defer { redis.end() }
        let meter = try await cost.meter(binary: binary, folder: folder.path)
        let data = folder.path + "/data"
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        // What comes every now and then is not what a request costs.
        let arguments = ["--port", "0", "--redis", redis.url, "--loops", "1", "--recovery-interval", "1h"]
        let serve = try await ServeProcess.start(data, arguments, log: folder.path + "/serve.log") { meter.wrap($0) }
        let pool = HTTPPool(port: serve.port, maximumConnections: 16)
        do {
            try await body(try await MeasuredService(serve, pool, redis, data: data, meter: meter))
        } catch {
            await pool.close()
            try await serve.end(SIGKILL)
            throw error
        }
        await pool.close()
        try await serve.end()
    }

    private init(_ serve: ServeProcess, _ pool: HTTPPool, _ redis: TemporaryRedis, data: String, meter: any Meter) async throws {
        (port, pid, self.redis, self.meter) = (serve.port, serve.pid, redis, meter)
        guest = Caller(pool: pool)
        let admin = Caller(pool: pool, token: try await Tool.run("token", "--data", data, "--admin").lines.first)
        let tokens = try await Tool.run("token", "--data", data, "--user", "1-\(Self.people)").lines
        var users: [Caller] = []
        for token in tokens {
            let id = try await admin.post("/users", #"{"name": "김하늘"}"#).expect(201).int("userId")
            users.append(Caller(pool: pool, token: token, id: id))
            try await users.last?.charge(1_000_000)
        }
        product = try await admin.makeProduct(price: 1_000, stock: 1_000_000)
        soldOutCoupon = try await admin.makeCoupon(quantity: 1)
        _ = try await users[0].claim(soldOutCoupon).expect(201)
        (self.admin, self.users) = (admin, users)
        // Whatever that has set in motion is done after some rounds of the slowest timer that matters.
        try await Task.sleep(for: .milliseconds(500))
        costAtRest = try await cost(of: { try await Task.sleep(for: .seconds(1)) }).perSecond
    }
}

extension MeasuredService {
    /// What the service spends while `body` runs.
    func cost(of body: () async throws -> Void) async throws -> (total: Double, seconds: Double, perSecond: Double) {
        let (before, start) = (try await meter.read(pid: pid), ContinuousClock.now)
        try await body()
        let (after, seconds) = (try await meter.read(pid: pid), (ContinuousClock.now - start) / .seconds(1))
        return (after - before, seconds, (after - before) / seconds)
    }

    /// Runs `body` while Redis stands still, so that the background work it gives rise to comes after it, and all at once: how often the
    /// timers find something to do meanwhile depends on how fast the machine is.
    func withBackgroundWorkHeld<Value>(_ body: () async throws -> Value) async throws -> Value {
        redis.pause()
        defer { redis.resume() }
        return try await body()
    }

    /// Waits until the background work has done what requests left for it: until it costs no more than at rest.
    func settle() async throws {
        try await eventually("the service is at rest") {
            try await cost(of: { try await Task.sleep(for: .milliseconds(60)) }).perSecond < 1.5 * costAtRest
        }
    }
}

/// A folder in memory where there is such a place: a commit that waits for a disk gives the background work time to be counted.
private struct MemoryFolder {
    let path: String

    init() {
        let parent = FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : "/tmp"
        path = parent + "/fa-\(UInt32.random(in: 0 ... .max))"
        // A failure shows at the first use.
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }
}

/// Gives the suite one service for all its tests.
struct MeasuredServiceTrait: SuiteTrait, TestScoping {
    let cost: Cost
    let isRecursive = false

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let binary = try #require(MeasuredService.releaseBinary)
        try await MeasuredService.run(binary, counting: cost) { service in
            try await MeasuredService.$current.withValue(service) { try await function() }
        }
        if let path = NewThresholds.path { try NewThresholds.write(to: path) }
    }
}
