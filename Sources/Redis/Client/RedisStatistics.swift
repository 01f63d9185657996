import EventLoops
package import Histograms

/// Counts of a client since it was made, for metrics.
package struct RedisStatistics: Sendable, Equatable {
    /// Commands written to a connection; a command written twice counts twice.
    package var sent = 0
    /// Connections made after the first of each event loop; in a cluster, after the first ones to all primaries.
    package var reconnects = 0
    /// Commands refused because the queue was full.
    package var overloaded = 0
    /// Commands whose connection broke before their reply.
    package var unknownOutcomes = 0
    /// Commands without a reply within their deadline.
    package var timedOut = 0
    /// Commands waiting for a reply at this moment.
    package var pending = 0
    /// Nanoseconds from sending a command to its reply, for the last reply of each read of a socket.
    package var roundTrips = HistogramSnapshot(.times)

    package static func + (left: RedisStatistics, right: RedisStatistics) -> RedisStatistics {
        RedisStatistics(
            sent: left.sent + right.sent,
            reconnects: left.reconnects + right.reconnects,
            overloaded: left.overloaded + right.overloaded,
            unknownOutcomes: left.unknownOutcomes + right.unknownOutcomes,
            timedOut: left.timedOut + right.timedOut,
            pending: left.pending + right.pending,
            roundTrips: left.roundTrips + right.roundTrips
        )
    }
}

extension RedisStatistics {
    /// These counts of a router's callers, with what one of its connections has written and read.
    func adding(_ connection: RedisStatistics) -> RedisStatistics {
        var sum = self
        sum.sent += connection.sent
        sum.roundTrips = sum.roundTrips + connection.roundTrips
        return sum
    }
}

/// The counters of one connection: written on its loop only, read anywhere.
final class RedisCounters: Sendable {
    let sent = LoopCounter()
    let connects = LoopCounter()
    let overloaded = LoopCounter()
    let unknownOutcomes = LoopCounter()
    let timedOut = LoopCounter()
    let pending = LoopCounter()
    /// When the oldest command without a reply was sent, in nanoseconds of the machine's monotonic clock; 0 without one.
    let oldest = LoopCounter()
    let roundTrips = Histogram(.times)
    let leastRoundTrip = LoopCounter()

    var snapshot: RedisStatistics {
        RedisStatistics(
            sent: sent.value,
            reconnects: max(connects.value - 1, 0),
            overloaded: overloaded.value,
            unknownOutcomes: unknownOutcomes.value,
            timedOut: timedOut.value,
            pending: pending.value,
            roundTrips: roundTrips.snapshot
        )
    }
}
