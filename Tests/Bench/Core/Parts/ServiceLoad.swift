import TestSupport

/// A load on one route of the service, with the answers that are expected.
struct ServiceLoad: Sendable {
    let shop: Shop
    let method: String
    /// The route's template, by which the service counts its answers.
    let route: String
    /// The only expected status class: `2xx`, or `4xx` for refusals.
    let expected: String
    /// Checks one whole answer before and after the load, because a status class does not tell one refusal from another.
    var probe: @Sendable () async throws -> Void = {}

    func run(_ file: RequestFile, _ amount: Wrk.Amount, connections: Int = Wrk.connections) async throws -> Sample {
        var problems: [String] = []
        await note(&problems) { try await probe() }
        let before = try await shop.metrics()
        var (sample, output) = try await shop.wrk.load(
            ports: shop.ports, file, amount, server: shop.watched, database: shop.watchedDatabase, redis: shop.watchedRedis,
            connections: connections)
        // wrk closes its connections with requests in flight; the service counts them a moment later.
        try await shop.waitUntilIdle()
        let after = try await shop.metrics()
        sample.statuses = after.statuses(method: method, route: route).since(before.statuses(method: method, route: route))
        sample.groupSize = after.groupSize(since: before)
        await note(&problems) { try await probe() }
        let other = sample.statuses.filter { $0.key != expected }.values.reduce(0, +)
        let wrongClass = expected == "4xx" ? output.requests - output.refused : output.refused
        sample.unexpected = max(other, wrongClass) + output.broken
        if sample.unexpected > 0 { problems.append("\(sample.unexpected) of \(output.requests) answers were not \(expected)") }
        problems += after.shed(since: before).sorted { $0.key < $1.key }.map { "\($0.value) were refused because \($0.key) was too long" }
        sample.problems += problems
        return sample
    }

    private func note(_ problems: inout [String], _ check: () async throws -> Void) async {
        do { try await check() } catch { problems.append(String(describing: error)) }
    }
}
