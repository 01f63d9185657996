import Histogram
import NIOCore

/// The counters of one run. Confined to the run's loop.
struct Measurements {
    var sent = 0
    var answered = 0
    var errors = OpenLoopResult.Errors()
    var lastAnswer: NIODeadline
    private var statuses = [Int](repeating: 0, count: 1_000)
    private var latencies = Self.emptyHistogram
    private var accepted = Self.emptyHistogram
    private var refused = Self.emptyHistogram
    private var lateness = Self.emptyHistogram

    /// Three significant digits from nanoseconds to a minute, allocated in advance so that it does not grow during a run.
    private static var emptyHistogram: Histogram<UInt64> {
        var histogram = Histogram<UInt64>(highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .three)
        histogram.autoResize = true
        return histogram
    }

    init(start: NIODeadline) { lastAnswer = start }

    mutating func countWrite(late duration: TimeAmount) {
        sent += 1
        lateness.record(UInt64(max(0, duration.nanoseconds)))
    }

    /// - Parameter isWarm: whether the latency counts.
    mutating func countAnswer(status: Int, after latency: TimeAmount, at now: NIODeadline, isWarm: Bool) {
        answered += 1
        statuses[status] += 1
        lastAnswer = now
        guard isWarm else { return }
        let nanoseconds = UInt64(max(0, latency.nanoseconds))
        latencies.record(nanoseconds)
        if OpenLoopResult.isRefusal(status) { refused.record(nanoseconds) } else { accepted.record(nanoseconds) }
    }

    /// - Parameter cpuSeconds: what the generator's thread used from `start` to `end`.
    func result(_ plan: OpenLoop, start: NIODeadline, end: NIODeadline, due: Int, cpuSeconds: Double) -> OpenLoopResult {
        // The last request is due before the time is over; without the minimum, the rate could exceed the one that was asked for.
        let seconds = max(plan.seconds, Double((lastAnswer - start).nanoseconds) / 1e9)
        let elapsed = Double((end - start).nanoseconds) / 1e9
        var statuses: [Int: Int] = [:]
        for (status, count) in self.statuses.enumerated() where count > 0 { statuses[status] = count }
        return OpenLoopResult(
            askedRate: plan.rate, achievedRate: Double(answered) / seconds, due: due, sent: sent, answered: answered,
            statuses: statuses, errors: errors, latency: Percentiles(nanoseconds: latencies),
            accepted: Percentiles(nanoseconds: accepted), refused: Percentiles(nanoseconds: refused),
            generator: OpenLoopResult.Generator(lateness: Percentiles(nanoseconds: lateness), cpuShare: cpuSeconds / max(elapsed, 1e-9)))
    }
}
