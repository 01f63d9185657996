import Logging

/// Runs recovery at the start, and then on a timer, so that differences are found that no reconnect has announced.
struct RegularRecovery: Sendable {
    let recovery: CheckedRecovery
    let interval: Duration
    let steps: StepCounter
    let logger: Logger

    /// Runs until the task is cancelled.
    func run() async {
        do {
            try await recovery.run()
            try? await Task.sleep(for: interval)
        } catch {
            // A failed first run is repeated at once, and not only after the interval.
            logger.log(
                level: error.isLossOfRedis ? .debug : .warning, "recovery at the start failed, trying again",
                metadata: ["error": "\(error)"])
        }
        await BackgroundWork.every(interval, "recovery", logger: logger, steps: steps) {
            recovery.forgetOffsets()
            try await recovery.run()
        }
    }
}
