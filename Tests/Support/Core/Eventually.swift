/// How long a test waits for a condition: so long that only a hang takes longer, also on a busy or slow machine and in an instrumented
/// build.
package let hangLimit: Duration = .seconds(180)

/// Waits until `condition` holds, asking again every few milliseconds, and throws when `deadline` passes before.
package func eventually(
    _ claim: String,
    within deadline: Duration = hangLimit,
    isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
) async throws {
    let start = ContinuousClock.now
    while try await !condition() {
        guard start.duration(to: .now) < deadline else { throw NotInTime(claim: claim, deadline: deadline) }
        try await Task.sleep(for: .milliseconds(3))
    }
}

/// Waits until `condition` holds, for as long as `progress` rises: throws when it has not risen for `deadline`, or has risen by more
/// than `most`.
///
/// - Parameter progress: counts what must go on meanwhile, such as answers.
package func eventually(
    _ claim: String,
    whileCounting progress: () -> Int,
    most: Int,
    within deadline: Duration = .seconds(60),
    isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
) async throws {
    let first = progress()
    var (last, since) = (first, ContinuousClock.now)
    while try await !condition() {
        let now = progress()
        if now != last { (last, since) = (now, .now) }
        guard now - first <= most else { throw NotInTime(claim: "\(claim), after \(now - first) steps", deadline: .zero) }
        guard since.duration(to: .now) < deadline else { throw NotInTime(claim: claim, deadline: deadline) }
        try await Task.sleep(for: .milliseconds(3))
    }
}

package struct NotInTime: Error, CustomStringConvertible {
    let claim: String
    let deadline: Duration

    package init(claim: String, deadline: Duration) { (self.claim, self.deadline) = (claim, deadline) }

    package var description: String { "not true within \(deadline): \(claim)" }
}
