/// Decides what is done about a write-ahead log that does not start over, from its size after each commit.
///
/// The log starts over once everything in it is copied to the database file and no reader needs it. Reads that overlap without a pause
/// keep it growing although each of them is short, and one long read does, in whatever process. So a log that has grown too far is asked
/// to start over while the writer waits for a moment, and past the bound the reads that have lasted longest are ended.
struct LogBound {
    /// What the writer has to do now.
    enum Action: Equatable {
        case nothing
        /// To copy the log back and to wait for its readers, shortly.
        case restart
        /// To end the reads that began before an instant; `isNews` the first time since the log was short.
        case endReads(begunBefore: ContinuousClock.Instant, isNews: Bool)
        /// To say that the log, which was past its bound, is short again.
        case sayShort(after: Duration)
    }

    /// Bytes from which the log is asked to start over, again with each `step` that it grows.
    private let restartBytes: Int64
    private let step: Int64
    /// Bytes from which reads are ended, again with each quarter of it.
    private let limit: Int64

    /// When the log was first asked in vain to start over: older reads are what keeps it.
    private var stalledSince: ContinuousClock.Instant?
    private var alarmedSince: ContinuousClock.Instant?
    /// When reads were last ended: what has begun before is older than a quarter of the bound.
    private var endedAt: ContinuousClock.Instant?
    private var nextRestart: Int64
    private var nextEnding: Int64

    /// A log that has started over keeps this many bytes of its file, in checkpoints.
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

    /// The log was asked to start over, and some reader still needs it.
    mutating func restartFailed(at now: ContinuousClock.Instant) {
        stalledSince = stalledSince ?? now
    }
}
