import Logging

/// Runs a step again and again until the task is cancelled. A step that fails is logged and tried again after growing pauses;
/// the same failure is logged once, not with every try.
func periodically(
    _ name: String, every interval: Duration, logger: Logger, _ step: @escaping @Sendable () async throws -> Void
) async {
    let backoff = Backoff(firstMilliseconds: 50, longestMilliseconds: 5_000)
    var failures: Int64 = 0
    while !Task.isCancelled {
        do {
            try await step()
            if failures > 0 { logger.info("\(name) goes on") }
            failures = 0
            try await Task.sleep(for: interval)
        } catch {
            if Task.isCancelled { return }
            failures += 1
            if failures == 1 { logger.warning("\(name) failed, trying again", metadata: ["error": "\(error)"]) }
            try? await Task.sleep(for: .milliseconds(backoff.milliseconds(afterFailures: failures)))
        }
    }
}
