import Commerce
import Synchronization

/// The service's clock in these tests: it runs like the machine's, moved by as much as a test likes, or stands still.
///
/// Coupon windows do not follow it: those are judged by Redis alone.
final class TestClock: Sendable {
    private let offset = Atomic<Int64>(0)
    private let standstill = Atomic<Int64>(-1)

    var now: Instant {
        let fixed = standstill.load(ordering: .acquiring)
        if fixed >= 0 { return Instant(milliseconds: fixed) }
        return Instant(milliseconds: WallClock.system.now.milliseconds + offset.load(ordering: .acquiring))
    }

    var wallClock: WallClock { WallClock { [self] in now } }

    /// Moves the time of a running clock on.
    func advance(byMilliseconds milliseconds: Int64) {
        offset.add(milliseconds, ordering: .acquiringAndReleasing)
    }

    /// Stops the clock at an instant, or moves a stopped one to it.
    func stand(at instant: Instant) {
        standstill.store(instant.milliseconds, ordering: .releasing)
    }
}
