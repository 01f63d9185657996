import LoadGenerator
import NIOCore
import Testing

@Suite(
    "allocations per request", .serialized,
    .enabled(
        if: MeasuredService.releaseBinary != nil, "FIRSTCOME_RELEASE names no release build of firstcome; `make test` makes one"),
    MeasuredServiceTrait())
struct AllocationTests {
    /// The figure is the least of several: what comes from elsewhere (a timer, a growing table, a step of the background work more)
    /// only ever adds. On a busy machine it comes later, so that rounds go on while the threshold is exceeded.
    private static let rounds = 5...30

    @Test("no hot route allocates more than thresholds.json says, nor much less", arguments: HotRoute.allCases)
    func hotRoute(route: HotRoute) async throws {
        let service = try #require(MeasuredService.current)
        let threshold = try Threshold.load(route.rawValue)
        _ = try await Self.figure(route, service)
        var measured = Double.infinity
        for round in 1...Self.rounds.upperBound where round <= Self.rounds.lowerBound || threshold.verdict(on: measured) == .exceeded {
            measured = min(measured, try await Self.figure(route, service))
        }
        measured = (measured * 10).rounded() / 10
        print("\(route.rawValue): \(measured) allocations per request, threshold \(threshold.allocations)")
        let place = "Tests/AllocationTests/thresholds.json"
        switch threshold.verdict(on: measured) {
        case .kept: break
        case .exceeded:
            Issue.record("\(route.rawValue): \(measured) allocations per request, \(place) allows \(threshold.allocations)")
        case .stale:
            Issue.record("\(route.rawValue): only \(measured) allocations per request, lower its \(threshold.allocations) in \(place)")
        }
    }

    /// Allocations of one request, on average over the route's number of them.
    ///
    /// They go one after the other over one connection: the size of a group commit, and with it the cost of each of its writes,
    /// would depend on the machine. What a request leaves to the background (scores, events) is part of its cost, and is waited for;
    /// what the timers allocate without any request is not, and is taken off.
    private static func figure(_ route: HotRoute, _ service: MeasuredService) async throws -> Double {
        // All due at once, as good as: each leaves with the answer to the one before.
        let rate = 1e6
        var plan = OpenLoop(
            port: service.port, requests: try await route.prepare(service), rate: rate, seconds: Double(route.requests) / rate,
            connections: 1)
        plan.patience = .seconds(60)
        try await service.settle()
        let (before, start) = (try service.counter.read(), ContinuousClock.now)
        let result = try await plan.run()
        try #require(result.statuses == [route.status: route.requests] && result.errors.isEmpty, "\(result)")
        try await service.settle()
        let (after, duration) = (try service.counter.read(), ContinuousClock.now - start)
        return (Double(after - before) - service.idleAllocations * (duration / .seconds(1))) / Double(route.requests)
    }
}
