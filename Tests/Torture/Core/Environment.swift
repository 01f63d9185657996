import FaultPoints
import Foundation
import JSON
import Services
import TestSupport

/// The service, its Redis, the data platform and the customers' records: everything that a run of the torture owns.
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
    /// The fault point at which the service ends itself; nil without one.
    private var trap: Trap?
    /// How often it has done so before the round's customers began to shop.
    private var earlyTraps = 0
    private(set) var customers: [Customer] = []
    private(set) var catalogue = Catalogue()
    /// The customers of all rounds.
    private(set) var allCustomers: [Customer] = []
    /// Whether the service uses the data folder's private Redis instead of the one behind the proxy.
    var usesPrivateRedis = false
    /// The small disk on which the data folder is during a disk fault; nil otherwise.
    var disk: SmallDisk?

    private var pendingChanges: [Task<Void, Never>] = []
    private let folder: TemporaryFolder
    let port: Int

    static let redisArguments = ["--appendonly", "yes", "--appendfsync", "everysec"]

    /// Starts everything except the shoppers.
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
        // `firstcome token` makes the token key of the data folder, so the service finds it.
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
    /// The fault point and the passage at which a debug build ends itself.
    struct Trap {
        let point: FaultPoint
        let passage: Int
    }

    var isServiceRunning: Bool { service?.isRunning == true }

    /// Whether the service was restarted without its trap, because it kept hitting it before customers were shopping.
    var hasMetTrap: Bool { trap == nil && earlyTraps > 0 }

    func startService(trap: Trap? = nil) async throws {
        earlyTraps = 0
        do {
            try await launchService(trap: trap)
        } catch let error as ServeProcess.NotServing where trap != nil && error.status == SIGKILL {
            // On a busy machine background work may hit the trap before the service says that it listens.
            try await startTrappedServiceAgain()
        }
    }

    /// Restarts a service that hit its trap by background work, before customers were shopping: up to three times with the trap, then
    /// without it.
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
            // Long, so that a delay of a busy machine does not count as a failure of the platform.
            "--data-platform-timeout", "60s",
            // The faults make queues stand, and what checks the service after a fault does not come again later.
            "--shed-after", "0",
        ]
        if let redisURL { arguments += ["--redis", redisURL] }
        var variables = ["FIRSTCOME_DATA_PLATFORM_SECRET": DataPlatform.secret]
        if let trap { variables[FaultPoint.variable] = "\(trap.point.rawValue):\(trap.passage)" }
        let disk = disk
        service = try await ServeProcess.start(dataFolder, arguments, environment: variables, log: logFile) {
            disk?.command(wrapping: $0) ?? $0
        }
    }

    /// Ends the service by SIGKILL, so that it can answer and save nothing.
    func killService() async throws {
        _ = try await service?.end(SIGKILL)
    }

    func signalService(_ number: Int32) { service?.send(number) }

    /// Ends the service by SIGTERM; it must shut down in order and exit with 0.
    func stopService() async throws {
        let status = try await service?.end(SIGTERM)
        if status != 0 { findings.add(.wrong, "SIGTERM ended the service with \(status.map(String.init) ?? "a signal")") }
    }

    /// Waits until the service is ready, and returns how long that took. A service that has ended is started again; where that fails,
    /// the run ends with the error.
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

// MARK: - Products, campaigns and customers

extension Environment {
    /// Makes new users and products; the previous ones get no more requests.
    func renew(customers count: Int) async throws {
        let answers = try await together(Array(0..<count)) { [admin] _ in try await admin.post("/users", #"{"name": "이바다"}"#) }
        let ids = try answers.map { try $0.expect(201).int("userId") }.sorted()
        guard let first = ids.first, let last = ids.last else { return }
        let tokens = try await Tool.run("token", "--data", dataFolder, "--user", "\(first)-\(last)").lines
        customers = ids.map { Customer(Caller(pool: pool, token: tokens[Int($0 - first)], id: $0)) }
        allCustomers += customers
        var products: [Catalogue.Product] = []
        for index in 0..<12 {
            // A few have so little stock that they run out.
            let (price, stock): (Int64, Int64) = (Int64(700 + 150 * index), index < 3 ? 40 : 1_000_000)
            products.append(.init(id: try await admin.makeProduct(price: price, stock: stock), price: price, stock: stock))
        }
        catalogue.products = products
    }

    /// Creates the campaigns of a round: one that is sold out at once, one for some of the customers, one for most of them.
    func openCampaigns() async throws {
        catalogue.currentCampaigns = []
        for quantity in [20, min(90, customers.count / 2), customers.count * 3 / 4].map(Int64.init) {
            let id = try await admin.makeCoupon(quantity: quantity)
            catalogue.campaigns[id] = quantity
            catalogue.currentCampaigns.append(id)
        }
        // Campaigns of earlier rounds stay open; the shoppers go on claiming from a few of them.
        for id in catalogue.campaigns.keys.sorted().dropLast(9) { catalogue.campaigns[id] = nil }
    }

    /// Raises the quantity of one of the round's campaigns as an operator does, and retries until there is a final answer.
    func raiseQuantity() {
        guard let id = catalogue.currentCampaigns.randomElement(using: &random), let quantity = catalogue.campaigns[id] else { return }
        catalogue.campaigns[id] = quantity + 10
        let request = ServiceClient.Request(
            caller: admin, path: "/coupons/\(id)", body: #"{"quantity": \#(quantity + 10)}"#, method: "PATCH")
        pendingChanges.append(
            Task { [client, findings] in
                guard let answer = await client.askUntilFinal(request) else { return }
                if answer.status != 200 { findings.add(.wrong, "raising the quantity of campaign \(id): \(answer.text)") }
            })
    }

    /// Waits for changes by operators that are in flight.
    func finishPendingChanges() async {
        for change in pendingChanges { await change.value }
        pendingChanges = []
    }
}
