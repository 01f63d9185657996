package import Logging
import Synchronization

/// Logs once when the shared buckets cannot be used, and once when they can be used again.
package final class RateLimitOutage: Sendable {
    private let isAway = Atomic(false)
    private let logger: Logger

    package init(logger: Logger) { self.logger = logger }

    func began(because error: (any Error)?) {
        guard !isAway.load(ordering: .relaxed), !isAway.exchange(true, ordering: .relaxed) else { return }
        logger.warning(
            "rate limits are counted by each service alone until Redis answers again",
            metadata: ["error": "\(error.map { "\($0)" } ?? "not connected")"])
    }

    func ended() {
        guard isAway.load(ordering: .relaxed), isAway.exchange(false, ordering: .relaxed) else { return }
        logger.notice("rate limits are counted in Redis again")
    }
}
