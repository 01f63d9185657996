import Bench
import Foundation
import TestSupport

/// The service in a process of its own whose cost is counted, with users, products and campaigns.
struct MeasuredService: Sendable {
    let guest: Caller
    let admin: Caller
    let users: [Caller]
    /// Another user, for requests that must come before a figure.
    let other: Caller
    let product: Int64
    /// A campaign whose only coupon the first user has.
    let soldOutCoupon: Int64
    let server: MeasuredServer
    private let redis: TemporaryRedis
    /// What makes groups of writes; nil where each write is to have a commit of its own.
    private let group: WriteGroup?

    /// Starts the service with a Redis of its own. The cleanup ends both.
    ///
    /// - Parameter people: how many users there are: as many as one figure has requests that each need another user.
    static func start(
        counting cost: Cost, people: Int, inGroups: Bool, _ cleanup: CleanupStack
    ) async throws -> MeasuredService {
        let folder = MemoryFolder()
        cleanup.add { folder.remove() }
        let redis = try await offPool { try TemporaryRedis() }
        cleanup.add { redis.end() }
        let data = folder.path + "/data"
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        let (meter, program) = try await cost.meter(of: try Tool.executable().path, in: folder.path)
        // Periodic work is switched off, because it does not belong to the cost of a request.
        let arguments =
            [
                "--port", "0", "--redis", redis.url, "--loops", "1", "--recovery-interval", "24h", "--ranking-refresh", "24h",
            ] + (inGroups ? ["--shed-after", "0"] : [])
        let serve = try await ServeProcess.start(data, arguments, log: folder.path + "/serve.log") {
            meter.wrap([program] + $0.dropFirst())
        }
        // Killed, because nothing of its data is kept.
        cleanup.add { serve.send(SIGKILL) }
        let pool = HTTPPool(port: serve.port, maximumConnections: 1)
        cleanup.add { await pool.close() }
        // Background work of the start does not belong to the cost of a request.
        try await eventually("the service is ready") { try await Caller(pool: pool).get("/readyz").status == 200 }
        let group = inGroups ? try await offPool { try WriteGroup(of: people, port: serve.port, dataFolder: data) } : nil
        return try await MeasuredService(
            MeasuredServer(pool: pool, pid: serve.pid, meter: meter), redis, group, people: people, data: data)
    }

    private init(
        _ server: MeasuredServer, _ redis: TemporaryRedis, _ group: WriteGroup?, people: Int, data: String
    ) async throws {
        (self.redis, self.group) = (redis, group)
        guest = Caller(pool: server.pool)
        admin = Caller(pool: server.pool, token: try await Tool.run("token", "--data", data, "--admin").lines.first)
        let tokens = try await Tool.run("token", "--data", data, "--user", "1-\(people + 1)").lines
        var users: [Caller] = []
        for token in tokens {
            let id = try await admin.post("/users", #"{"name": "김하늘"}"#).expect(201).int("userId")
            users.append(Caller(pool: server.pool, token: token, id: id))
            try await users.last?.charge(1_000_000)
        }
        other = users.removeLast()
        self.users = users
        product = try await admin.makeProduct(price: 1_000, stock: 1_000_000)
        soldOutCoupon = try await admin.makeCoupon(quantity: 1)
        _ = try await users[0].claim(soldOutCoupon).expect(201)
        var server = server
        try await server.attach()
        self.server = server
    }

    /// Ends Redis. Routes that only use the store go on, and the background work that they cause waits for Redis instead of running
    /// during the measurement.
    func endRedis() { redis.kill() }

    /// The average cost of these requests: one after the other, or all in one group of the writer, where the service makes groups. A
    /// group's cost includes the one write that makes the writer wait.
    func cost(of requests: [RequestBytes], expecting status: Int) async throws -> Double {
        guard let group else { return try await server.cost(of: requests, expecting: status) }
        let charge = other.charging
        try await offPool { try group.hold(by: charge) }
        let before = try await server.read()
        try await offPool {
            try group.send(requests)
            try group.release(expecting: status)
        }
        return (try await server.read() - before) / Double(requests.count)
    }
}

/// A server in a process of its own, one connection to it, and the meter that counts its cost.
struct MeasuredServer: Sendable {
    let pool: HTTPPool
    let pid: Int32
    private var meter: any Meter

    init(pool: HTTPPool, pid: Int32, meter: any Meter) { (self.pool, self.pid, self.meter) = (pool, pid, meter) }

    /// Attaches the meter. Call it after the server has answered requests of the kind that is measured.
    mutating func attach() async throws { try await meter.attach(to: pid) }

    func read() async throws -> Double { try await meter.read() }

    /// The average cost of these requests, which are sent one after the other over one connection.
    ///
    /// With several at once, the size of a group commit, and with it the cost of each write, would depend on the machine.
    func cost(of requests: [RequestBytes], expecting status: Int) async throws -> Double {
        let before = try await meter.read()
        for request in requests { _ = try await pool.send(request).expect(status) }
        return (try await meter.read() - before) / Double(requests.count)
    }
}

/// The benchmark's bare channel under the instruction meter; figures of instructions are given as multiples of its cost.
enum Reference {
    static func start(_ cleanup: CleanupStack) async throws -> MeasuredServer {
        let folder = MemoryFolder()
        cleanup.add { folder.remove() }
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let (meter, program) = try await Cost.instructions.meter(of: own, in: folder.path)
        let (port, pid) = try await BareChannel.start(cleanup, command: { meter.wrap([program, "bare-channel", "--port", String($0)]) })
        let pool = HTTPPool(port: port, maximumConnections: 1)
        cleanup.add { await pool.close() }
        return MeasuredServer(pool: pool, pid: pid, meter: meter)
    }
}

extension Cost {
    /// The meter, and the path of the program that is started for it.
    ///
    /// - Parameter folder: for the meter's files; the server's own files are elsewhere.
    fileprivate func meter(of program: String, in folder: String) async throws -> (any Meter, program: String) {
        switch self {
        case .allocations: (try AllocationMeter(folder: folder), program)
        case .instructions: (InstructionMeter(folder: folder), try await InstructionMeter.stripped(program, in: folder))
        }
    }
}

/// A folder in memory where possible, because background work would run, and count, while a commit waits for a disk.
private struct MemoryFolder {
    let path: String

    init() {
        let parent = FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : "/tmp"
        path = parent + "/fa-\(UInt32.random(in: 0 ... .max))"
        // A failure shows when the folder is first used.
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }
}
