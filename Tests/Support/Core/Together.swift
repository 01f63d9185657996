/// Runs one call for each element, all released at the same moment, and returns the answers in the order of the elements.
package func together<Element: Sendable>(
    _ elements: [Element], _ call: @escaping @Sendable (Element) async throws -> HTTPAnswer
) async throws -> [HTTPAnswer] {
    let (gate, opening) = AsyncStream<Void>.makeStream()
    return try await withThrowingTaskGroup { group in
        for (index, element) in elements.enumerated() {
            group.addTask {
                for await _ in gate {}
                return (index, try await call(element))
            }
        }
        opening.finish()
        var answers: [(Int, HTTPAnswer)] = []
        for try await answer in group { answers.append(answer) }
        return answers.sorted { $0.0 < $1.0 }.map(\.1)
    }
}

extension [HTTPAnswer] {
    /// How often each status, with the code where there is one, such as `["201": 100, "409 COUPON_SOLD_OUT": 4900]`.
    package var statusCounts: [String: Int] {
        reduce(into: [:]) { $0[[String($1.status), $1.code].compactMap(\.self).joined(separator: " "), default: 0] += 1 }
    }

    package func with(status: Int) -> [HTTPAnswer] { filter { $0.status == status } }
}
