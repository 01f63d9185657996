import Dispatch
import Synchronization

/// How busy the writer is: written under the queue's lock or by the writer's thread, read by any thread without a lock.
///
/// Instants are nanoseconds of the machine's monotonic clock (`DispatchTime.uptimeNanoseconds`).
package final class WriterLoad: Sendable {
    private let depth = Atomic(0)
    /// When the oldest write was queued that has no answer yet; 0 without one.
    private let oldest = Atomic<UInt64>(0)
    /// When the group began that the writer works on, and how long it should take; 0 while the writer does nothing.
    private let groupBegan = Atomic<UInt64>(0)
    private let groupExpected = Atomic<UInt64>(0)
    /// Averages of the last groups, in nanoseconds: the work for one write, and the commit of a group.
    private let perWrite = Atomic<UInt64>(0)
    private let perCommit = Atomic<UInt64>(0)
    private let maximumGroup: Int

    package init(maximumGroup: Int) { self.maximumGroup = maximumGroup }

    /// The present instant.
    package static var now: UInt64 { DispatchTime.now().uptimeNanoseconds }

    /// How long the oldest write without an answer has waited, in nanoseconds; 0 without one.
    package func age(at now: UInt64) -> Int64 {
        let since = oldest.load(ordering: .relaxed)
        return since == 0 || since > now ? 0 : Int64(now - since)
    }

    /// How long a write that arrives now would wait before the writer begins its group, in nanoseconds.
    ///
    /// It is the work for what waits, and the commits of the groups between; the commit that every write has to wait for does not count,
    /// so that a slow disk is no queue. Where the group at work takes four times as long as it should, such as behind a lock or a disk
    /// that hangs, it is at least the time since that group began.
    package func wait(at now: UInt64) -> Int64 {
        let writes = depth.load(ordering: .relaxed)
        guard writes > 0 else { return 0 }
        let work = UInt64(writes) &* perWrite.load(ordering: .relaxed)
        let wait = work &+ UInt64(writes / maximumGroup) &* perCommit.load(ordering: .relaxed)
        let began = groupBegan.load(ordering: .relaxed)
        guard began > 0, now > began else { return Int64(clamping: wait) }
        let running = now - began
        return Int64(clamping: running > 4 &* groupExpected.load(ordering: .relaxed) ? max(wait, running) : wait)
    }

    /// Notes how many writes wait for their answer.
    package func setDepth(_ writes: Int) { depth.store(writes, ordering: .relaxed) }

    /// Notes since when the oldest write without an answer waits; 0 without one.
    package func setOldest(_ instant: UInt64) { oldest.store(instant, ordering: .relaxed) }

    /// Called by the writer's thread before a group.
    package func beginGroup(of writes: Int) {
        let expected = UInt64(writes) &* perWrite.load(ordering: .relaxed) &+ perCommit.load(ordering: .relaxed)
        groupExpected.store(expected, ordering: .relaxed)
        groupBegan.store(Self.now, ordering: .relaxed)
    }

    /// Called by the writer's thread after a group was answered.
    package func endGroup() { groupBegan.store(0, ordering: .relaxed) }

    /// Called by the writer's thread after a commit.
    package func committed(_ writes: Int, working: UInt64, committing: UInt64) {
        Self.average(perWrite, working / UInt64(max(writes, 1)))
        Self.average(perCommit, committing)
    }

    /// An average in which a value loses half its weight within five later ones. Only the writer's thread stores it.
    private static func average(_ number: borrowing Atomic<UInt64>, _ value: UInt64) {
        let old = number.load(ordering: .relaxed)
        number.store(old == 0 ? value : old - old / 8 + value / 8, ordering: .relaxed)
    }
}
