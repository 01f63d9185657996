import TestSupport

/// A row of the service: the requests, and what their answers have to be.
struct ServiceLoad: Sendable {
    let shop: Shop
    let method: String
    /// The route's template, by which the service counts its answers.
    let route: String
    /// The class of the only status that is right: `2xx`, or `4xx` for refusals.
    let expected: String
    /// Looks at one whole answer before and after the load, for a status class does not tell a refusal from another one.
    var probe: @Sendable () async throws -> Void = {}

    func run(_ file: RequestFile, _ amount: Wrk.Amount, connections: Int = Wrk.connections) async throws -> Sample {
        var problems: [String] = []
        await note(&problems) { try await probe() }
        let before = try await counts()
        var (sample, output) = try await shop.wrk.load(
            port: shop.service.port, file, amount, server: shop.watched, redis: shop.watchedRedis, connections: connections)
        // wrk closes its connections with requests under way; they are counted a moment later.
        try await shop.waitUntilIdle()
        sample.statuses = try await counts().since(before)
        await note(&problems) { try await probe() }
        let other = sample.statuses.filter { $0.key != expected }.values.reduce(0, +)
        let wrongClass = expected == "4xx" ? output.requests - output.refused : output.refused
        sample.unexpected = max(other, wrongClass) + output.broken
        if sample.unexpected > 0 { problems.append("\(sample.unexpected) of \(output.requests) answers were not \(expected)") }
        sample.problems += problems
        return sample
    }

    private func note(_ problems: inout [String], _ check: () async throws -> Void) async {
        do { try await check() } catch { problems.append(String(describing: error)) }
    }

    private func counts() async throws -> [String: Int] { try await shop.metrics().statuses(method: method, route: route) }
}
