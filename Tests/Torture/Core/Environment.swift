import FaultPoints
import Foundation
import JSON
import Services
import TestSupport

/// The service, its Redis, the data platform and every customer with their record: what a run of the torture owns.
///
/// Used by one task at a time; the shoppers have copies of what they need.
final class Environment {
    let findings = Findings()
    let client: ServiceClient
    let platform: DataPlatform
    let proxy: FaultProxy
    /// The Redis behind the proxy.
    var redis: TemporaryRedis
    let pool: HTTPPool
    let admin: Caller
    var random: SeededGenerator
    private(set) var service: ServeProcess?
    /// The fault point at which the service ends itself; nil for none.
    private var trap: Trap?
    /// How often it ended there before the shoppers began.
    private var earlyTraps = 0
    private(set) var customers: [Customer] = []
    private(set) var catalogue = Catalogue()
    /// The customers of all rounds.
    private(set) var everybody: [Customer] = []
    /// Whether the service uses the data folder's private Redis instead of the one behind the proxy.
    var usesPrivateRedis = false
    /// Where the store lives for a while instead of the folder.
    var disk: SmallDisk?

    private var errands: [Task<Void, Never>] = []
    private let folder: TemporaryFolder
    let port: Int

    static let redisArguments = ["--appendonly", "yes", "--appendfsync", "everysec"]

    /// Starts everything but the shoppers.
    static func start(random: SeededGenerator, connections: Int) async throws -> Environment {
        let folder = TemporaryFolder()
        do {
            let redis = try await offPool { try TemporaryRedis(arguments: redisArguments, onTCP: true) }
            do {
                return try await Environment(folder: folder, redis: redis, random: random, connections: connections)
            } catch {
                redis.end()
                throw error
            }
        } catch {
            folder.remove()
            throw error
        }
    }

    private init(folder: TemporaryFolder, redis: TemporaryRedis, random: SeededGenerator, connections: Int) async throws {
        self.folder = folder
        self.redis = redis
        self.random = random
        client = ServiceClient(counts: RequestCounter(), findings: findings)
        platform = try await DataPlatform(findings: findings)
        proxy = try await FaultProxy(to: redis.socketPath, in: folder.path)
        port = try TemporaryRedis.freePort()
        pool = HTTPPool(port: port, maximumConnections: connections)
        // Makes the key of the data folder before the service reads it.
        try FileManager.default.createDirectory(atPath: folder.path + "/data", withIntermediateDirectories: true)
        let token = try await Tool.run("token", "--data", folder.path + "/data", "--admin")
        admin = Caller(pool: pool, token: token.lines.first)
        try await startService()
    }

    /// Ends every process by its own pid and removes every file.
    func end() async {
        _ = try? await service?.end(SIGKILL)
        if let privateRedis = try? PrivateRedis(dataFolder: homeFolder) { await privateRedis.stop() }
        await pool.close()
        await platform.close()
        try? await proxy.close()
        disk?.end()
        redis.end()
        folder.remove()
    }

    var homeFolder: String { folder.path + "/data" }
    var dataFolder: String { disk?.folder ?? homeFolder }
    var redisURL: String? { usesPrivateRedis ? nil : "unix://\(proxy.socketPath)" }
    var log: String { (try? String(contentsOfFile: folder.path + "/serve.log", encoding: .utf8)) ?? "" }
    var logFile: String { folder.path + "/serve.log" }
}

// MARK: - The service

extension Environment {
    /// Where a debug build ends itself.
    struct Trap {
        let point: FaultPoint
        let passage: Int
    }

    var isServiceRunning: Bool { service?.isRunning == true }

    /// Whether the service runs without the fault point it was started with, because it reached that before.
    var hasMetTrap: Bool { trap == nil && earlyTraps > 0 }

    func startService(trap: Trap? = nil) async throws {
        earlyTraps = 0
        try await launchService(trap: trap)
    }

    /// The service reached its fault point before the shoppers began, by background work: starts it again, in the end without one.
    private func startTrappedServiceAgain() async throws {
        earlyTraps += 1
        guard earlyTraps < 4, let trap else { return try await launchService(trap: nil) }
        do {
            try await launchService(trap: trap)
        } catch is ServeProcess.NotServing {
            try await launchService(trap: nil)
        }
    }

    private func launchService(trap: Trap?) async throws {
        self.trap = trap
        var arguments = [
            "--port", "\(port)", "--order-hold", "2s", "--ranking-refresh", "200ms", "--recovery-interval", "1s", "--data-platform",
            platform.url,
            // What a busy machine delays is no failure of the platform.
            "--data-platform-timeout", "60s",
        ]
        if let redisURL { arguments += ["--redis", redisURL] }
        var variables = ["FIRSTCOME_DATA_PLATFORM_SECRET": DataPlatform.secret]
        if let trap { variables[FaultPoint.variable] = "\(trap.point.rawValue):\(trap.passage)" }
        let disk = disk
        service = try await ServeProcess.start(dataFolder, arguments, environment: variables, log: logFile) {
            disk?.command(wrapping: $0) ?? $0
        }
    }

    /// SIGKILL: nothing is said, nothing is saved.
    func killService() async throws {
        _ = try await service?.end(SIGKILL)
    }

    func signalService(_ number: Int32) { service?.send(number) }

    /// SIGTERM, which must end it in good order.
    func stopService() async throws {
        let status = try await service?.end(SIGTERM)
        if status != 0 { findings.add(.wrong, "SIGTERM ended the service with \(status.map(String.init) ?? "a signal")") }
    }

    /// Waits until the service is ready, and answers how long that took. A service that ended is started again; where that fails, the run
    /// ends.
    @discardableResult
    func waitUntilReady() async throws -> Duration {
        let start = ContinuousClock.now
        if trap != nil, service?.endingSignal == SIGKILL {
            try await startTrappedServiceAgain()
        } else if !isServiceRunning {
            findings.add(.wrong, "the service ended by itself")
            try await startService()
        }
        var last = "no answer"
        while start.duration(to: .now) < hangLimit {
            if let answer = try? await admin.get("/readyz") {
                if answer.status == 200 { return start.duration(to: .now) }
                last = answer.text
            }
            if !isServiceRunning { return try await waitUntilReady() }
            try await Task.sleep(for: .milliseconds(10))
        }
        findings.add(.wrong, "the service was not ready within \(hangLimit): \(last)")
        return start.duration(to: .now)
    }
}

// MARK: - Goods and people

extension Environment {
    /// New users and products; the old ones are left alone from here on.
    func renew(customers count: Int) async throws {
        let answers = try await together(Array(0..<count)) { [admin] _ in try await admin.post("/users", #"{"name": "이바다"}"#) }
        let ids = try answers.map { try $0.expect(201).int("userId") }.sorted()
        guard let first = ids.first, let last = ids.last else { return }
        let tokens = try await Tool.run("token", "--data", dataFolder, "--user", "\(first)-\(last)").lines
        customers = ids.map { Customer(Caller(pool: pool, token: tokens[Int($0 - first)], id: $0)) }
        everybody += customers
        var products: [Catalogue.Product] = []
        for index in 0..<12 {
            // Some run out.
            let (price, stock): (Int64, Int64) = (Int64(700 + 150 * index), index < 3 ? 40 : 1_000_000)
            products.append(.init(id: try await admin.makeProduct(price: price, stock: stock), price: price, stock: stock))
        }
        catalogue.products = products
    }

    /// The campaigns of a round, with few, some and many coupons.
    func openCampaigns() async throws {
        catalogue.currentCampaigns = []
        for quantity in [20, min(90, customers.count / 2), customers.count * 3 / 4].map(Int64.init) {
            let id = try await admin.makeCoupon(quantity: quantity)
            catalogue.campaigns[id] = quantity
            catalogue.currentCampaigns.append(id)
        }
        // Old ones stay open; a few are enough to come back to.
        for id in catalogue.campaigns.keys.sorted().dropLast(9) { catalogue.campaigns[id] = nil }
    }

    /// An operator raises the quantity of one of the round's campaigns, and asks until they know that it is done.
    func raiseQuantity() {
        guard let id = catalogue.currentCampaigns.randomElement(using: &random), let quantity = catalogue.campaigns[id] else { return }
        catalogue.campaigns[id] = quantity + 10
        let request = ServiceClient.Request(
            caller: admin, path: "/coupons/\(id)", body: #"{"quantity": \#(quantity + 10)}"#, method: "PATCH")
        errands.append(
            Task { [client, findings] in
                guard let answer = await client.insist(request) else { return }
                if answer.status != 200 { findings.add(.wrong, "raising the quantity of campaign \(id): \(answer.text)") }
            })
    }

    /// Waits for what operators have under way.
    func finishErrands() async {
        for errand in errands { await errand.value }
        errands = []
    }
}
