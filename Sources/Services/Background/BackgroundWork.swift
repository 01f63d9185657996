import Logging
import Synchronization

/// Background work in steps. A step runs after its wakeup was raised, and otherwise after an interval.
struct BackgroundWork: Sendable {
    let name: String
    /// Raised when there may be something to do.
    var wakeup = Wakeup()
    /// The least time between two steps, so that a thousand commits in a second do not cause a thousand steps.
    var pause: Duration
    /// The longest time between two steps, also where the wakeup is not raised.
    var interval: Duration
    /// Counts the steps that succeeded.
    var steps: StepCounter?

    /// Runs steps until the task is cancelled. A failed step is repeated after growing pauses; failures in a row are logged once.
    ///
    /// - Parameter step: returns the time after which the next step is needed even if the wakeup is not raised; `nil` for no such time.
    func run(logger: Logger, _ step: @escaping @Sendable () async throws -> Duration?) async {
        let backoff = Backoff(firstMilliseconds: 50, longestMilliseconds: 5_000)
        var (failures, isLogged): (Int64, Bool) = (0, false)
        while !Task.isCancelled {
            let seen = wakeup.count
            do {
                let next = try await step()
                steps?.add()
                if isLogged { logger.info("\(name) works again") }
                (failures, isLogged) = (0, false)
                let rest = min(next ?? interval, interval) - pause
                try await Task.sleep(for: pause)
                if rest > .zero { await wakeup.wait(past: seen, atMost: rest) }
            } catch {
                if Task.isCancelled { return }
                failures += 1
                // The Redis client logs the loss of Redis once.
                if !isLogged, !error.isLossOfRedis {
                    logger.warning("\(name) failed, trying again", metadata: ["error": "\(error)"])
                    isLogged = true
                }
                try? await Task.sleep(for: .milliseconds(backoff.milliseconds(afterFailures: failures)))
            }
        }
    }

    /// Runs steps at an interval, for work that has no wakeup.
    static func every(
        _ interval: Duration, _ name: String, logger: Logger, steps: StepCounter? = nil, _ step: @escaping @Sendable () async throws -> Void
    ) async {
        await BackgroundWork(name: name, pause: interval, interval: interval, steps: steps).run(logger: logger) {
            try await step()
            return nil
        }
    }
}

/// Counts the steps of all background work. The number is a metric; an idle service makes few steps.
final class StepCounter: Sendable {
    private let number = Atomic<Int>(0)

    var value: Int { number.load(ordering: .relaxed) }
    func add() { number.wrappingAdd(1, ordering: .relaxed) }
}
