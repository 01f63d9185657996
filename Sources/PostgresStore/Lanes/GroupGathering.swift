import Dispatch

/// Decides for how many writes a lane waits before it takes those that wait already.
///
/// Those who were answered often come back at once. Without a wait, the first to come back would be a group of their own and half of all
/// callers the next, which takes more CPU the more services there are to share the callers. Where callers do not come back, a wait only
/// delays the others: after one in vain the lane waits no more for a group, then for two groups, four, up to sixteen. A caller who is
/// alone never waits.
struct GroupGathering {
    typealias Wait = LaneQueue<any LaneJob>.Gathering

    /// From so many writes on, a larger group saves little: for PostgreSQL, the trips of a group of payments cost as much as 29 payments
    /// (1.6 ms and 55 us of its CPU, from groups of 16 and of 25 in `make bench ONLY=services`).
    static let sufficientGroup = 32
    /// How long a lane waits at most, in the time of the latest group's trips. Within once their time, 16 of 21 clients of a busy machine
    /// were back; within twice, 20.
    private static let longestWait: UInt64 = 2
    private static let longestPause = 16

    /// The present wait; nil to take what waits at once.
    private(set) var wait: Wait?
    /// How many groups go without a wait after the latest one in vain, and how many of them are left.
    private var (pause, left) = (0, 0)

    /// Notes how many writes the lane has taken after the wait.
    mutating func took(_ writes: Int) {
        guard let wait else { return }
        pause = writes >= wait.writes ? 0 : min(max(pause * 2, 1), Self.longestPause)
        left = pause
    }

    /// Notes the end of a group.
    ///
    /// - Parameters:
    ///   - weight: of how many writes it was; nil where it was a single caller's, or failed.
    ///   - waiting: how many writes wait at its end.
    ///   - trips: how long its trips took, in nanoseconds.
    mutating func ended(_ weight: Int?, waiting: Int, trips: UInt64, at now: DispatchTime = .now()) {
        wait = nil
        guard let weight else { return }
        if left > 0 {
            left -= 1
            return
        }
        wait = Wait(
            writes: min(weight + waiting, Self.sufficientGroup),
            end: DispatchTime(uptimeNanoseconds: now.uptimeNanoseconds + trips * Self.longestWait))
    }
}
