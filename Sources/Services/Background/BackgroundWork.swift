import Logging
import Synchronization

/// Work that goes on beside the requests: a step runs when something has made it due, and otherwise when its time has come.
struct BackgroundWork: Sendable {
    let name: String
    /// Raised by what makes the work due.
    var wakeup = Wakeup()
    /// The least time from one step to the next, so that a thousand commits in a second do not make a thousand steps.
    var pause: Duration
    /// The most time from one step to the next, however quiet it is.
    var interval: Duration
    /// Counts the steps that succeed.
    var steps: StepCounter?

    /// Runs the step again and again until the task is cancelled. A step that fails is logged and tried again after growing pauses;
    /// failures one after the other are logged once, not with every try.
    ///
    /// - Parameter step: answers after which time something is due that nothing else will tell of, `nil` where nothing is.
    func run(logger: Logger, _ step: @escaping @Sendable () async throws -> Duration?) async {
        let backoff = Backoff(firstMilliseconds: 50, longestMilliseconds: 5_000)
        var (failures, isTold): (Int64, Bool) = (0, false)
        while !Task.isCancelled {
            let seen = wakeup.count
            do {
                let next = try await step()
                steps?.add()
                if isTold { logger.info("\(name) goes on") }
                (failures, isTold) = (0, false)
                let rest = min(next ?? interval, interval) - pause
                try await Task.sleep(for: pause)
                if rest > .zero { await wakeup.wait(past: seen, atMost: rest) }
            } catch {
                if Task.isCancelled { return }
                failures += 1
                // That Redis is gone is said once, for all that need it.
                if !isTold, !error.isLossOfRedis {
                    logger.warning("\(name) failed, trying again", metadata: ["error": "\(error)"])
                    isTold = true
                }
                try? await Task.sleep(for: .milliseconds(backoff.milliseconds(afterFailures: failures)))
            }
        }
    }

    /// The same for work that only the clock makes due.
    static func every(
        _ interval: Duration, _ name: String, logger: Logger, steps: StepCounter? = nil, _ step: @escaping @Sendable () async throws -> Void
    ) async {
        await BackgroundWork(name: name, pause: interval, interval: interval, steps: steps).run(logger: logger) {
            try await step()
            return nil
        }
    }
}

/// How many steps background work has made: an idle service makes few.
final class StepCounter: Sendable {
    private let number = Atomic<Int>(0)

    var value: Int { number.load(ordering: .relaxed) }
    func add() { number.wrappingAdd(1, ordering: .relaxed) }
}
