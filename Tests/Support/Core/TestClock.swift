package import Commerce
import Synchronization

/// A clock for a service under test: it runs like the machine's clock with an offset that the test sets, or stands still.
///
/// Coupon windows do not follow it, because Redis judges them by its own clock.
package final class TestClock: Sendable {
    private enum State {
        case running(offset: Int64)
        case stopped(Int64)
    }

    private let state = Mutex(State.running(offset: 0))

    package init() {}

    package var now: Instant {
        switch state.withLock({ $0 }) {
        case .running(let offset): Instant(milliseconds: WallClock.system.now.milliseconds + offset)
        case .stopped(let milliseconds): Instant(milliseconds: milliseconds)
        }
    }

    package var wallClock: WallClock { WallClock { [self] in now } }

    package func advance(byMilliseconds milliseconds: Int64) {
        state.withLock { state in
            switch state {
            case .running(let offset): state = .running(offset: offset + milliseconds)
            case .stopped(let time): state = .stopped(time + milliseconds)
            }
        }
    }

    /// Lets the clock run from that instant.
    package func move(to instant: Instant) {
        state.withLock { $0 = .running(offset: instant.milliseconds - WallClock.system.now.milliseconds) }
    }

    /// Stops the clock at that instant, so that only the test moves it.
    package func stop(at instant: Instant) { state.withLock { $0 = .stopped(instant.milliseconds) } }
}
