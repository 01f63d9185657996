import FaultPoints
import Foundation
import JSON
import NIOCore
import Services
import TestSupport

/// The services, what they use, the data platform and the customers' records: everything that a run of the torture owns.
///
/// Used by one task at a time; the shoppers have copies of what they need.
final class Environment {
    let findings = Findings()
    let client: ServiceClient
    let platform: DataPlatform
    let services: [ServiceInstance]
    /// The service that the round's fault concerns.
    var target: ServiceInstance
    /// The Redis behind the services' proxies.
    var redisServers: RedisServers
    /// The servers of the store; nil where it is SQLite in the data folder of the only service.
    let stores: PostgresPair?
    var random: SeededGenerator
    private var adminToken: String?
    private(set) var customers: [Customer] = []
    private(set) var catalogue = Catalogue()
    /// The customers of all rounds.
    private(set) var allCustomers: [Customer] = []
    /// Whether the service uses the data folder's private Redis instead of the one behind the proxy.
    var usesPrivateRedis = false
    /// The small disk on which the data folder is during a disk fault; nil otherwise.
    var disk: SmallDisk?
    /// How long after the round's fault what it concerns worked again, where that was measured.
    var firstSuccess: FirstSuccess?

    private var pendingChanges: [Task<Void, Never>] = []
    private let folder: TemporaryFolder

    /// Starts everything except the shoppers: one service on SQLite and a Redis, or several on PostgreSQL and a Redis Cluster.
    ///
    /// - Parameter connections: to all services together.
    static func start(random: SeededGenerator, services count: Int = 1, connections: Int) async throws -> Environment {
        let folder = TemporaryFolder()
        var redis: RedisServers?
        var stores: PostgresPair?
        do {
            let servers = try await RedisServers.start(asCluster: count > 1)
            redis = servers
            // What the services ask of a store's server; its files are in memory.
            if count > 1 { stores = try await offPool { try PostgresPair(settings: ["fsync": "on"]) } }
            var services: [ServiceInstance] = []
            for number in 1...count {
                services.append(
                    try await makeService(number, connections: connections / count, redis: servers, stores: stores, in: folder))
            }
            return try await Environment(folder: folder, redis: servers, stores: stores, services: services, random: random)
        } catch {
            redis?.end()
            stores?.end()
            folder.remove()
            throw error
        }
    }

    private static func makeService(
        _ number: Int, connections: Int, redis: RedisServers, stores: PostgresPair?, in folder: TemporaryFolder
    ) async throws -> ServiceInstance {
        func folderOfProxy(_ name: String) throws -> String {
            let path = "\(folder.path)/\(number)/\(name)"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            return path
        }
        var storeProxies: [FaultProxy] = []
        for server in stores?.both ?? [] {
            let home = try folderOfProxy("store-\(storeProxies.count)")
            storeProxies.append(try await FaultProxy(to: server.socket, in: home))
            // libpq finds a socket by its folder and port.
            symlink(home + "/proxy.sock", home + "/.s.PGSQL.5432")
        }
        return ServiceInstance(
            number: number, port: try TemporaryRedis.freePort(), connections: connections, logFile: "\(folder.path)/serve-\(number).log",
            redisProxies: try await redis.makeProxies(of: number, in: folderOfProxy("redis")), storeProxies: storeProxies)
    }

    private init(
        folder: TemporaryFolder, redis: RedisServers, stores: PostgresPair?, services: [ServiceInstance], random: SeededGenerator
    ) async throws {
        (self.folder, redisServers, self.stores, self.services, self.random) = (folder, redis, stores, services, random)
        target = services[0]
        let balancer = Balancer(services.map(\.pool), random: SeededGenerator(seed: ~random.seed))
        client = ServiceClient(counts: RequestCounter(), findings: findings, balancer: balancer, isUnavailableUnknown: stores != nil)
        platform = try await DataPlatform(findings: findings)
        try FileManager.default.createDirectory(atPath: homeFolder, withIntermediateDirectories: true)
        // The token key of a data folder is made by `firstcome token`, and that of a database by the first service.
        if stores == nil { adminToken = try await tokens("--admin").first }
        for service in services { try await service.start(launch(of: service)) }
        if stores != nil { adminToken = try await tokens("--admin").first }
    }

    private func tokens(_ whose: String...) async throws -> [String] {
        let output = try await Tool.run(["token"] + whose + store)
        guard output.status == 0 else { throw Tool.Missing(description: "no token: \(output.standardError)") }
        return output.lines
    }

    /// Ends every process by its own pid and removes every file.
    func end() async {
        for service in services { await service.end() }
        if let privateRedis = try? PrivateRedis(dataFolder: homeFolder) { await privateRedis.stop() }
        await platform.close()
        disk?.end()
        let (redis, stores) = (redisServers, stores)
        try? await offPool {
            redis.end()
            stores?.end()
        }
        folder.remove()
    }

    var homeFolder: String { folder.path + "/data" }
    var dataFolder: String { disk?.folder ?? homeFolder }
    /// An admin at a random service.
    var admin: Caller { client.balancer.place(Caller(pool: services[0].pool, token: adminToken)).caller }
    func admin(at service: ServiceInstance) -> Caller { Caller(pool: service.pool, token: adminToken) }
    func metrics(of service: ServiceInstance) async throws -> String { try await admin(at: service).get("/metrics").expect(200).text }
    /// The end of each service's log.
    func logs(_ count: Int) -> String { services.map { "\($0):\n\($0.log.suffix(count))" }.joined(separator: "\n") }

    /// The option by which a command reaches the store, past the proxies.
    private var store: [String] { stores.map { ["--store", $0.url] } ?? ["--data", dataFolder] }
    /// The options by which a command reaches store and Redis, past the proxies.
    var direct: [String] {
        store + (usesPrivateRedis ? [] : ["--redis", redisServers.url])
    }

    func launch(of service: ServiceInstance) -> ServiceInstance.Launch {
        var arguments = [
            "--port", "\(service.port)", "--order-hold", "2s", "--ranking-refresh", "200ms", "--recovery-interval", "1s",
            "--data-platform", platform.url,
            // Long, so that a delay of a busy machine does not count as a failure of the platform.
            "--data-platform-timeout", "60s",
            // The faults make queues stand, and what checks the service after a fault does not come again later.
            "--shed-after", "0",
        ]
        if !usesPrivateRedis { arguments += ["--redis", redisServers.url(of: service.number, through: service.redisProxies)] }
        if let stores {
            arguments += [
                "--store", stores.url(folders: service.storeProxies.map { ($0.socketPath as NSString).deletingLastPathComponent }),
            ]
        }
        return ServiceInstance.Launch(folder: dataFolder, arguments: arguments, disk: disk)
    }
}

extension TemporaryPostgres {
    var socket: String { "\(folder.path)/.s.PGSQL.\(port)" }
}

// MARK: - The services

extension Environment {
    func startService(trap: ServiceInstance.Trap? = nil) async throws { try await target.start(launch(of: target), trap: trap) }
    func killService() async throws { try await target.kill() }
    func stopService() async throws { try await target.stop(findings) }

    /// Waits until every service is ready, and returns how long that took. A service that has ended is started again; where that fails,
    /// the run ends with the error.
    ///
    /// - Parameter rearming: whether one that has ended itself at its fault point gets it again.
    @discardableResult
    func waitUntilReady(rearming: Bool = false) async throws -> Duration {
        let start = ContinuousClock.now
        for service in services { try await waitUntilReady(service, since: start, rearming: rearming) }
        return start.duration(to: .now)
    }

    private func waitUntilReady(_ service: ServiceInstance, since start: ContinuousClock.Instant, rearming: Bool) async throws {
        var guest = Caller(pool: service.pool)
        guest.timeLimit = client.balancer.timeLimit
        var last = "no answer"
        while start.duration(to: .now) < hangLimit {
            if service.endedAtTrap {
                if rearming {
                    try await service.startTrappedAgain(launch(of: service))
                } else {
                    try await service.start(launch(of: service))
                }
            } else if !service.isRunning {
                findings.add(.wrong, "\(service) ended by itself")
                try await service.start(launch(of: service))
            }
            if let answer = try? await guest.get("/readyz") {
                if answer.status == 200 { return }
                last = answer.text
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        findings.add(.wrong, "\(service) was not ready within \(hangLimit): \(last)")
    }

    /// Ends what a fault may have left of itself.
    func undoFaults() async throws {
        platform.set(.usual)
        for service in services {
            service.send(SIGCONT)
            try connect(service)
        }
        try await redisServers.undoFaults()
        if let stores { try await offPool { for server in stores.both { server.resume() } } }
    }

    /// Connects a service with the present servers again.
    func connect(_ service: ServiceInstance) throws {
        let stores = try stores?.both.map { try SocketAddress(unixDomainSocketPath: $0.socket) } ?? []
        service.connect(redis: try redisServers.addresses(), stores: stores)
    }
}

// MARK: - Products, campaigns and customers

extension Environment {
    /// Makes new users and products; the previous ones get no more requests.
    func renew(customers count: Int) async throws {
        let answers = try await together(Array(0..<count)) { [admin] _ in try await admin.post("/users", #"{"name": "이바다"}"#) }
        let ids = try answers.map { try $0.expect(201).int("userId") }.sorted()
        guard let first = ids.first, let last = ids.last else { return }
        let tokens = try await tokens("--user", "\(first)-\(last)")
        customers = ids.map { id in
            Customer(client.balancer.place(Caller(pool: services[0].pool, token: tokens[Int(id - first)], id: id)).caller)
        }
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
        for quantity in [20, min(90, customers.count / 2), customers.count * 3 / 4] { try await openCampaign(of: quantity) }
        // Campaigns of earlier rounds stay open; the shoppers go on claiming from a few of them.
        for id in catalogue.campaigns.keys.sorted().dropLast(9) { catalogue.campaigns[id] = nil }
    }

    /// Opens one more campaign for the round.
    func openCampaign(of quantity: Int) async throws {
        let id = try await admin.makeCoupon(quantity: Int64(quantity))
        catalogue.campaigns[id] = Int64(quantity)
        catalogue.currentCampaigns.append(id)
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
