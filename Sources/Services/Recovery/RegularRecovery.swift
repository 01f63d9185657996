import Logging

/// Runs recovery at the start, and then on a timer, so that differences are found that no reconnect has announced.
struct RegularRecovery: Sendable {
    let recovery: CheckedRecovery
    let interval: Duration
    /// Raised where recovery has to run before the interval is over.
    let wakeup: Wakeup
    let steps: StepCounter
    let logger: Logger

    /// Runs until the task is cancelled.
    func run() async {
        let seen = wakeup.count
        do {
            try await recovery.run()
            await wakeup.wait(past: seen, atMost: interval)
        } catch {
            // A failed first run is repeated at once, and not only after the interval.
            logger.log(
                level: error.isLossOfRedis ? .debug : .warning, "recovery at the start failed, trying again",
                metadata: ["error": "\(error)"])
        }
        let work = BackgroundWork(
            name: "recovery", wakeup: wakeup, pause: min(interval, .milliseconds(100)), interval: interval, steps: steps)
        await work.run(logger: logger) {
            recovery.forgetOffsets()
            try await recovery.run()
            return nil
        }
    }
}
