/// Decides, from the size of the write-ahead log after each commit, what to do about a log that does not start over.
///
/// The log starts over once everything in it is copied to the database file and no reader needs it. Reads that overlap without a pause
/// keep it growing although each of them is short, and so does one long read, in any process. So the writer restarts a log that has grown
/// too far, waiting for its readers for a moment; past the bound, the reads that have lasted longest are ended.
struct LogBound {
    /// What the writer has to do now.
    enum Action: Equatable {
        case nothing
        /// Copy the log back and wait for its readers for a moment, so that it can start over.
        case restart
        /// End the reads that began before an instant; `isNews` is true the first time since the log was short.
        case endReads(begunBefore: ContinuousClock.Instant, isNews: Bool)
        /// Report that the log, which was past its bound, is short again.
        case sayShort(after: Duration)
    }

    /// Bytes from which the log is restarted, again with each `step` that it grows.
    private let restartBytes: Int64
    private let step: Int64
    /// Bytes from which reads are ended, again with each quarter of it.
    private let limit: Int64

    /// When a restart failed for the first time: reads that began before keep the log from starting over.
    private var stalledSince: ContinuousClock.Instant?
    private var alarmedSince: ContinuousClock.Instant?
    /// When reads were last ended. The next time, after another quarter of the bound, those that began before this are ended.
    private var endedAt: ContinuousClock.Instant?
    private var nextRestart: Int64
    private var nextEnding: Int64

    /// How much of its file a log keeps when it starts over, in units of `checkpointBytes`.
    static let keptCheckpoints: Int64 = 4

    init(checkpointBytes: Int64, limit: Int64) {
        step = checkpointBytes
        restartBytes = (Self.keptCheckpoints + 1) * checkpointBytes
        self.limit = max(limit, restartBytes)
        (nextRestart, nextEnding) = (restartBytes, self.limit)
    }

    /// - Parameter bytes: the size of the log's file after a commit.
    mutating func committed(bytes: Int64, at now: ContinuousClock.Instant) -> Action {
        guard bytes >= restartBytes else {
            let alarm = alarmedSince
            (stalledSince, alarmedSince, endedAt) = (nil, nil, nil)
            (nextRestart, nextEnding) = (restartBytes, limit)
            return alarm.map { .sayShort(after: now - $0) } ?? .nothing
        }
        if bytes > nextEnding, let stalledSince {
            defer { (endedAt, nextEnding) = (now, bytes + limit / 4) }
            let isNews = alarmedSince == nil
            alarmedSince = alarmedSince ?? now
            return .endReads(begunBefore: endedAt ?? stalledSince, isNews: isNews)
        }
        guard bytes >= nextRestart else { return .nothing }
        nextRestart = bytes + step
        return .restart
    }

    /// Notes that a restart failed because a reader still needs the log.
    mutating func restartFailed(at now: ContinuousClock.Instant) {
        stalledSince = stalledSince ?? now
    }
}
