/// Waits until `condition` holds, asking again every few milliseconds, and throws when `deadline` passes before.
package func eventually(
    _ claim: String,
    within deadline: Duration = .seconds(30),
    isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
) async throws {
    let start = ContinuousClock.now
    while try await !condition() {
        guard start.duration(to: .now) < deadline else { throw NotInTime(claim: claim, deadline: deadline) }
        try await Task.sleep(for: .milliseconds(3))
    }
}

package struct NotInTime: Error, CustomStringConvertible {
    let claim: String
    let deadline: Duration
    package var description: String { "not true within \(deadline): \(claim)" }
}
