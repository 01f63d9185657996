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
    let counter: AllocationCounter
    let port: Int
    /// What its timers allocate in a second without requests.
    private(set) var idleAllocations = 0.0

    @TaskLocal static var current: MeasuredService?

    /// The release build, where the Makefile says that there is one.
    static var releaseBinary: String? { ProcessInfo.processInfo.environment["FIRSTCOME_RELEASE"] }

    /// Runs `body` beside the service. Everything is gone afterwards, however `body` ends.
    static func run(_ binary: String, _ body: @Sendable (MeasuredService) async throws -> Void) async throws {
        let folder = MemoryFolder()
        defer { folder.remove() }
        let redis = try await offPool { try TemporaryRedis() }
        defer { redis.end() }
        let counter = try AllocationCounter(in: folder.path)
        let data = folder.path + "/data"
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        let library = try Tool.executable().deletingLastPathComponent().appendingPathComponent("libCountingAllocator.so").path
        guard FileManager.default.isReadableFile(atPath: library) else { throw Tool.Missing(description: "\(library) is not built") }
        // What comes every now and then is not what a request costs.
        let arguments = ["--port", "0", "--redis", redis.url, "--loops", "1", "--recovery-interval", "1h"]
        let serve = try await ServeProcess.start(data, arguments, log: folder.path + "/serve.log") {
            counter.wrap(library: library) + [binary] + $0.dropFirst()
        }
        let pool = HTTPPool(port: serve.port, maximumConnections: 16)
        do {
            try await body(try await MeasuredService(pool, data: data, counter: counter, port: serve.port))
        } catch {
            await pool.close()
            try await serve.end(SIGKILL)
            throw error
        }
        await pool.close()
        try await serve.end()
    }

    private init(_ pool: HTTPPool, data: String, counter: AllocationCounter, port: Int) async throws {
        (self.counter, self.port) = (counter, port)
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
        let (before, start) = (try counter.read(), ContinuousClock.now)
        try await Task.sleep(for: .seconds(1))
        idleAllocations = Double(try counter.read() - before) / ((ContinuousClock.now - start) / .seconds(1))
        print("at rest: \(Int(idleAllocations)) allocations a second")
    }

    /// Waits until the background work has done what requests left for it: until it allocates no more than at rest.
    func settle() async throws {
        try await eventually("the service is at rest") {
            let (before, start) = (try counter.read(), ContinuousClock.now)
            try await Task.sleep(for: .milliseconds(60))
            return Double(try counter.read() - before) < 1.5 * idleAllocations * ((ContinuousClock.now - start) / .seconds(1))
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
    let isRecursive = false

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let binary = try #require(MeasuredService.releaseBinary)
        try await MeasuredService.run(binary) { service in
            try await MeasuredService.$current.withValue(service) { try await function() }
        }
    }
}
