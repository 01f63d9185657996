package import Histograms

/// Counts of a store since it was opened, and its present state, for metrics.
package struct StoreStatistics: Sendable, Equatable {
    /// Committed transactions.
    package var groups = 0
    /// Writes in committed transactions, refused ones included. A job with several claims counts each.
    package var jobs = 0
    package var largestGroup = 0
    /// Writes that wait for their answer now.
    package var queueDepth = 0
    /// Jobs turned away because the queue was full.
    package var refusedOverload = 0
    /// Groups of which nothing was committed.
    package var commitFailures = 0
    /// Groups that ran again one by one because a job failed.
    package var regroups = 0
    /// Reads that were ended to let the write-ahead log start over.
    package var readsEnded = 0
    /// Seconds from BEGIN to COMMIT.
    package var workSeconds = 0.0
    /// Seconds inside COMMIT: the fsync, and now and then a checkpoint.
    package var commitSeconds = 0.0
    /// Writes of each committed transaction.
    package var groupSizes = HistogramSnapshot(Self.groupSizeBounds)
    /// Nanoseconds inside each COMMIT.
    package var commitTimes = HistogramSnapshot(.times)
    /// Bytes of the write-ahead log on disk now.
    package var walBytes: Int64 = 0
    /// The read lanes.
    package var reads: [ReadLane: ReadLaneStatistics] = [:]

    package init() {}

    /// Up to the usual bound of a group.
    package static let groupSizeBounds = HistogramBounds.powersOfTwo(through: 512)
}
