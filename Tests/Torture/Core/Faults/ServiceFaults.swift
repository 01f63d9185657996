import Foundation
import TestSupport

extension Environment {
    /// Runs a step for several services at once, for all by default.
    func forEach(
        of some: [ServiceInstance]? = nil, _ step: @escaping @Sendable (ServiceInstance, ServiceInstance.Launch) async throws -> Void
    ) async throws {
        let launches = (some ?? services).map { ($0, launch(of: $0)) }
        try await withThrowingTaskGroup { group in
            for (service, launch) in launches { group.addTask { try await step(service, launch) } }
            try await group.waitForAll()
        }
    }

    /// The service that does the duties of all.
    fileprivate func dutyHolder() async throws -> ServiceInstance {
        for _ in 0..<1_000 {
            for service in services {
                let page = try? await Caller(pool: service.pool).get("/metrics").text
                if page?.contains("\nfirstcome_duties_held 1\n") == true { return service }
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Fault.NotReached(description: "no service says that it holds the duties")
    }

    /// The last sale that the ranking has counted.
    private func countedSales() async throws -> String {
        try await command(at: "ranking:{sales}:applied", ["GET", "ranking:{sales}:applied"])
    }

    /// Waits until a new event has been delivered and a new sale counted.
    fileprivate func dutiesMove() async throws {
        let (events, counted) = (platform.received.count, try await countedSales())
        try await eventually("an event is delivered") { platform.received.count > events }
        try await eventually("a sale is counted") { try await countedSales() != counted }
    }

    /// Measures whether requests go on.
    func requestsGoOn(within limit: Duration = .seconds(1)) async throws {
        // Nobody else could answer them.
        guard services.count > 1 else { return }
        try await measure(limit) { await probe.charge() }
    }
}

extension Fault {
    /// What happens to one of several services, or to all of them.
    static let several = [
        Fault(
            "duties' holder: SIGKILL",
            inject: { environment in
                environment.target = try await environment.dutyHolder()
                try await environment.killService()
                try await environment.measure(.seconds(6)) { try await environment.dutiesMove() }
                try await environment.restartService()
            }),
        Fault(
            "duties' holder: SIGSTOP for 10 s",
            inject: { environment in
                environment.target = try await environment.dutyHolder()
                let start = ContinuousClock.now
                environment.target.send(SIGSTOP)
                try await environment.measure(.seconds(6)) { try await environment.dutiesMove() }
                try await Task.sleep(until: start + .seconds(10))
                environment.target.send(SIGCONT)
            }),
        Fault(
            "all services: SIGKILL",
            inject: { environment in
                try await environment.forEach { service, _ in try await service.kill() }
                try await environment.pause(milliseconds: 0...500)
                try await environment.forEach { service, launch in try await service.start(launch) }
            }),
        cutOff("one service cut off from PostgreSQL", \.storeProxies, within: .seconds(8)),
        cutOff("one service cut off from Redis", \.redisProxies),
        cutOff("one service: PostgreSQL silent", \.storeProxies, silently: true, within: .seconds(8)),
        cutOff("one service: Redis silent", \.redisProxies, silently: true, within: .seconds(8)),
    ]

    /// - Parameter limit: longer where the service waits for its server, as it does 10 s for PostgreSQL: a customer waits 3 s for the service,
    ///   which may hold locks for 3 s more.
    private static func cutOff(
        _ name: String, _ proxies: any KeyPath<ServiceInstance, [FaultProxy]> & Sendable, silently: Bool = false,
        within limit: Duration = .seconds(1)
    ) -> Fault {
        Fault(
            name,
            inject: { environment in
                let service = environment.target
                try service.cut(service[keyPath: proxies], silently: silently)
                try await environment.requestsGoOn(within: limit)
                try await environment.pause(milliseconds: 500...6_000)
                try environment.connect(service)
            })
    }
}
