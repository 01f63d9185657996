package import Commerce
import Synchronization

/// A clock for a service under test: it runs like the machine's, moved by as much as a test says, or stands still.
///
/// Coupon windows do not follow it: those are judged by Redis alone.
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

    /// From here on the clock runs from that instant.
    package func move(to instant: Instant) {
        state.withLock { $0 = .running(offset: instant.milliseconds - WallClock.system.now.milliseconds) }
    }

    /// From here on only the test moves the clock.
    package func stop(at instant: Instant) { state.withLock { $0 = .stopped(instant.milliseconds) } }
}
