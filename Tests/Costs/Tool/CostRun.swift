import Bench
import Foundation
import TestSupport

/// What one request of a route costs.
struct RouteCost: Equatable {
    let route: HotRoute
    var allocations: Double?
    var instructions: Double?
}

/// One run of the measurement: the reference, then the selected routes.
struct CostRun {
    let routes: [HotRoute]
    /// The thresholds: while the least figure of a route exceeds its threshold, more figures are measured.
    let thresholds: Thresholds

    /// By which factor the number of figures may grow for this.
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
        var (figures, reference): ([HotRoute: Double], Double?) = ([:], nil)
        try await withCleanupStack { cleanup in
            let service = try await MeasuredService.start(counting: cost, people: HotRoute.winsInFigure, inGroups: false, cleanup)
            if cost == .instructions { reference = try await self.reference(service, cleanup) }
            let limits = limits(cost, reference)
            for route in routes where !route.leavesWork { figures[route] = try await figure(route, cost, service, limits[route]) }
            service.endRedis()
            for route in routes where route.leavesWork && !route.isGroup {
                figures[route] = try await figure(route, cost, service, limits[route])
            }
        }
        let groups = routes.filter(\.isGroup)
        guard !groups.isEmpty else { return (figures, reference) }
        try await withCleanupStack { cleanup in
            let service = try await MeasuredService.start(counting: cost, people: HotRoute.groupSize, inGroups: true, cleanup)
            let limits = limits(cost, reference)
            service.endRedis()
            for route in groups { figures[route] = try await figure(route, cost, service, limits[route]) }
        }
        return (figures, reference)
    }

    /// Measures the bare channel, with the request of a refused claim.
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

    /// The highest cost of each route that keeps its threshold.
    private func limits(_ cost: Cost, _ reference: Double?) -> [HotRoute: Double] {
        switch cost {
        case .allocations: thresholds.allocations.mapValues(Thresholds.most(allocations:))
        case .instructions: thresholds.instructions.mapValues { Thresholds.most(instructions: $0) * (reference ?? .nan) }
        }
    }

    /// Measures a route several times, and returns the least figure.
    private func figure(_ route: HotRoute, _ cost: Cost, _ service: MeasuredService, _ limit: Double?) async throws -> Double {
        // A first round of requests, so that what is made only once does not count.
        _ = try await service.cost(of: try await route.prepare(service), expecting: route.status)
        var all: [Double] = []
        let enough = route.figures(of: cost)
        while all.count < enough || (all.count < Self.patience * enough && (all.min() ?? 0) > limit ?? .infinity) {
            let requests = try await route.prepare(service)
            all.append(try await service.cost(of: requests, expecting: route.status))
        }
        all.sort()
        let least = (all[0] * 100).rounded() / 100
        Self.tell("\(route.rawValue): \(Figure.short(least)) \(cost), half of the figures below \(Figure.short(all[all.count / 2]))")
        return least
    }

    private static func tell(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }
}
