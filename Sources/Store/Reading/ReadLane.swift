/// A class of reads. Each lane has connections, threads and a bound of its own, so that a full lane delays no other.
///
/// Reads by key are in none: they run on the event loops, see ``PointReader``.
package enum ReadLane: String, Sendable, CaseIterable {
    /// The service's own work: gates, recovery, relay, delivery, expiry, and all snapshots.
    case service
    /// Lists of one person, and the admin's.
    case personal
    /// Lists that are open to everybody.
    case browse

    /// Whether a read ends when its task is cancelled. The service's own reads run to their end.
    var endsWithItsTask: Bool { self != .service }

    /// The nice value of the lane's threads: on a busy machine, browsing gets only the processor time that the rest of the service leaves.
    var niceness: Int32 { self == .browse ? 10 : 0 }
}

/// The size of a lane.
package struct ReadLaneOptions: Sendable, Equatable {
    /// Reads at once; each has a connection and a thread.
    package var connections: Int
    /// The most reads that may wait or run; past it a read is `.overloaded`.
    package var maximumReads: Int

    package init(connections: Int, maximumReads: Int) {
        (self.connections, self.maximumReads) = (connections, maximumReads)
    }

    /// A page of products costs 0.1 to 4 ms, so the last of 384 reads of a connection waits for 0.04 to 1.5 s.
    static func browse(cores: Int) -> ReadLaneOptions {
        let connections = min(max(1, cores / 2), 4)
        return ReadLaneOptions(connections: connections, maximumReads: 384 * connections)
    }
}

/// A lane's depth, and its counts since the store was opened.
package struct ReadLaneStatistics: Sendable, Equatable {
    /// Reads that wait or run now.
    package var depth = 0
    /// Reads turned away because the lane was full.
    package var refused = 0
    /// Reads that were dropped or ended because their callers were cancelled.
    package var cancelled = 0

    package init() {}
}
