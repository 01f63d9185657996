import Logging

/// Recovers at the start, and then on a timer while nothing seems to have happened to gates, scores and store.
struct RegularRecovery: Sendable {
    let recovery: CheckedRecovery
    let interval: Duration
    let steps: StepCounter
    let logger: Logger

    /// Goes on until the task is cancelled.
    func run() async {
        do {
            try await recovery.run()
            try? await Task.sleep(for: interval)
        } catch {
            // What the first look has left undone does not wait for the interval.
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
