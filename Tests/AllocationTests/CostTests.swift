import LoadGenerator
import NIOCore
import Testing

/// What one request costs the release build, held against `thresholds.json`. One suite after the other: they share two cores.
@Suite(.serialized)
enum CostTests {}

extension CostTests {
    private static let needsRelease: Comment = "FIRSTCOME_RELEASE names no release build of firstcome; `make test` makes one"

    @Suite(
        "allocations per request", .serialized, .enabled(if: MeasuredService.releaseBinary != nil, needsRelease),
        MeasuredServiceTrait(cost: .allocations))
    struct Allocations {
        @Test("no hot route allocates more than its threshold says, nor much less", arguments: HotRoute.allCases)
        func hotRoute(route: HotRoute) async throws { try await CostTests.hold(route, .allocations) }
    }

    @Suite(
        "instructions per request", .serialized, .enabled(if: MeasuredService.releaseBinary != nil, needsRelease),
        .enabled(if: InstructionMeter.isInstalled, "valgrind or strip is missing"), MeasuredServiceTrait(cost: .instructions))
    struct Instructions {
        @Test("no hot route runs more instructions than its threshold says, nor far fewer", arguments: HotRoute.allCases)
        func hotRoute(route: HotRoute) async throws { try await CostTests.hold(route, .instructions) }
    }
}

extension CostTests {
    /// The figure is the least of several: what comes from elsewhere (a timer, a growing table, a step of the background work more)
    /// only ever adds. On a busy machine it comes later, so that rounds go on while the threshold is exceeded.
    private static func rounds(_ cost: Cost) -> ClosedRange<Int> { cost == .allocations ? 5...30 : 3...10 }

    private static func hold(_ route: HotRoute, _ cost: Cost) async throws {
        let service = try #require(MeasuredService.current)
        let threshold = try Threshold.load(cost, route)
        _ = try await figure(route, service)
        var measured = Double.infinity
        let rounds = rounds(cost)
        let enough = NewThresholds.path == nil ? rounds.lowerBound : 10
        for round in 1...rounds.upperBound where round <= enough || threshold.verdict(on: measured) == .exceeded {
            measured = min(measured, try await figure(route, service))
        }
        measured = (measured * 10).rounded() / 10
        print("\(route.rawValue): \(measured) \(cost) per request, threshold \(threshold.limit)")
        guard NewThresholds.path == nil else { return NewThresholds.note(measured, cost, route) }
        let place = "Tests/AllocationTests/thresholds.json"
        switch threshold.verdict(on: measured) {
        case .kept: break
        case .exceeded: Issue.record("\(route.rawValue): \(measured) \(cost.rawValue) per request, \(place) allows \(threshold.limit)")
        case .stale:
            Issue.record("\(route.rawValue): only \(measured) \(cost.rawValue) per request, lower its \(threshold.limit) in \(place)")
        }
    }

    /// What one request costs, on average over the route's number of them.
    ///
    /// They go one after the other over one connection: the size of a group commit, and with it the cost of each of its writes,
    /// would depend on the machine. What a request leaves to the background (scores, events) is part of its cost, and is waited for;
    /// what the timers cost without any request is not, and is taken off.
    private static func figure(_ route: HotRoute, _ service: MeasuredService) async throws -> Double {
        // All due at once, as good as: each leaves with the answer to the one before.
        let rate = 1e6
        var plan = OpenLoop(
            port: service.port, requests: try await route.prepare(service), rate: rate, seconds: Double(route.requests) / rate,
            connections: 1)
        plan.patience = .seconds(60)
        try await service.settle()
        let cost = try await service.cost {
            let plan = plan
            let result = try await route.leavesWork ? service.withBackgroundWorkHeld { try await plan.run() } : plan.run()
            try #require(result.statuses == [route.status: route.requests] && result.errors.isEmpty, "\(result)")
            try await service.settle()
        }
        return (cost.total - service.costAtRest * cost.seconds) / Double(route.requests)
    }
}
