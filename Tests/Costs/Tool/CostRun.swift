import Bench
import Foundation
import TestSupport

/// What one request of a route costs.
struct RouteCost: Equatable {
    let route: HotRoute
    var allocations: Double?
    var instructions: Double?
}

/// One run of the measurement: the reference, then the routes that are wanted.
struct CostRun {
    let routes: [HotRoute]
    /// What the figures are held against: while one exceeds its threshold, more are measured.
    let thresholds: Thresholds

    /// How many times as many figures are measured at most.
    private static let patience = 4

    struct Result {
        /// Instructions of the bare channel for one request.
        let reference: Double
        let costs: [RouteCost]
    }

    func measure() async throws -> Result {
        let allocations = try await figures(.allocations)
        let instructions = try await figures(.instructions)
        let costs = routes.map { RouteCost(route: $0, allocations: allocations.routes[$0], instructions: instructions.routes[$0]) }
        return Result(reference: instructions.reference ?? .nan, costs: costs)
    }

    private func figures(_ cost: Cost) async throws -> (routes: [HotRoute: Double], reference: Double?) {
        try await withCleanupStack { cleanup in
            let service = try await MeasuredService.start(counting: cost, cleanup)
            var reference: Double?
            if cost == .instructions { reference = try await self.reference(service, cleanup) }
            let limits = limits(cost, reference)
            var figures: [HotRoute: Double] = [:]
            for route in routes where !route.leavesWork { figures[route] = try await figure(route, cost, service, limits[route]) }
            service.endRedis()
            for route in routes where route.leavesWork { figures[route] = try await figure(route, cost, service, limits[route]) }
            return (figures, reference)
        }
    }

    /// The bare channel is sent a refused claim.
    private func reference(_ service: MeasuredService, _ cleanup: CleanupStack) async throws -> Double {
        var server = try await Reference.start(cleanup)
        let requests = try await HotRoute.soldOut.prepare(service)
        for request in requests { _ = try await server.pool.send(request) }
        try await server.attach()
        var least = Double.infinity
        for _ in 1...10 { least = min(least, try await server.cost(of: requests, expecting: 200)) }
        Self.tell("bare channel: \(Figure.count(least)) instructions")
        return least
    }

    /// The most that keeps the thresholds.
    private func limits(_ cost: Cost, _ reference: Double?) -> [HotRoute: Double] {
        switch cost {
        case .allocations: thresholds.allocations.mapValues(Thresholds.most(allocations:))
        case .instructions: thresholds.instructions.mapValues { Thresholds.most(instructions: $0) * (reference ?? .nan) }
        }
    }

    /// The least of several figures.
    private func figure(_ route: HotRoute, _ cost: Cost, _ service: MeasuredService, _ limit: Double?) async throws -> Double {
        // What the first requests of a kind make once is there afterwards.
        for request in try await route.prepare(service) { _ = try await service.server.pool.send(request).expect(route.status) }
        var all: [Double] = []
        let enough = route.figures(of: cost)
        while all.count < enough || (all.count < Self.patience * enough && (all.min() ?? 0) > limit ?? .infinity) {
            let requests = try await route.prepare(service)
            all.append(try await service.server.cost(of: requests, expecting: route.status))
        }
        all.sort()
        let least = (all[0] * 100).rounded() / 100
        Self.tell("\(route.rawValue): \(Figure.short(least)) \(cost), half of the figures below \(Figure.short(all[all.count / 2]))")
        return least
    }

    private static func tell(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }
}
