import EventLoops
import NIOCore

/// Measures how late an event loop runs what is due, which is how long bytes wait in a socket before they are read.
///
/// While requests arrive it sets a timer now and then and notes how late it runs; an idle loop has no timer. Confined to the loop; the
/// number may be read anywhere.
///
/// Safety of `@unchecked Sendable`: the variables are touched on the loop alone, by requests and by the timer.
final class LoopLag: @unchecked Sendable {
    private let eventLoop: any EventLoop
    private var isWaiting = false
    private var nextSample = NIODeadline.uptimeNanoseconds(0)
    private let lag = LoopCounter()
    /// When it was measured, in nanoseconds of the machine's monotonic clock.
    private let measuredAt = LoopCounter()

    private static let pause = TimeAmount.milliseconds(5)
    private static let timer = TimeAmount.milliseconds(1)
    /// A number is forgotten after this time, because an idle loop measures nothing.
    private static let validity: Int64 = 1_000_000_000

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Measures again if the last time was long ago. Call it for each request.
    func sample(at now: NIODeadline) {
        guard !isWaiting, now >= nextSample else { return }
        let due = now + Self.timer
        isWaiting = true
        eventLoop.assumeIsolated().scheduleTask(deadline: due) {
            let now = NIODeadline.now()
            self.isWaiting = false
            self.nextSample = now + Self.pause
            self.lag.set(Int(max(0, (now - due).nanoseconds)))
            self.measuredAt.set(Int(now.uptimeNanoseconds))
        }
    }

    /// When the lag was measured last, in nanoseconds of the machine's monotonic clock; 0 where it never was.
    var lastMeasurement: Int64 { Int64(measuredAt.value) }

    /// The last lag in nanoseconds; 0 where none was measured for a second.
    func nanoseconds(at now: NIODeadline) -> Int64 {
        Int64(now.uptimeNanoseconds) - Int64(measuredAt.value) < Self.validity ? Int64(lag.value) : 0
    }
}
