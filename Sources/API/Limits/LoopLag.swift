import EventLoops
import NIOCore

/// Measures how late an event loop does what is due: how long bytes wait in a socket before they are read, and how late a timer runs.
///
/// The server measures some reads of TCP connections (``HTTPRequest/waited``). A timer, which is set now and then while requests arrive, is
/// for unix sockets, and for work that holds the loop up. An idle loop has no timer. Confined to the loop; the numbers may be read
/// anywhere.
///
/// Safety of `@unchecked Sendable`: the variables are touched on the loop alone, by requests and by the timer.
final class LoopLag: @unchecked Sendable {
    private let eventLoop: any EventLoop
    private var isWaiting = false
    private var nextSample = NIODeadline.uptimeNanoseconds(0)
    /// Requests since the last measurement, and when that was.
    private var arrivals = 0
    private var countedSince = NIODeadline.uptimeNanoseconds(0)
    /// Requests in each nanosecond, when it was measured last.
    private var arrivalRate = 0.0
    private let timer = Measurement()
    private let socket = Measurement()

    private final class Measurement: Sendable {
        private let lag = LoopCounter()
        /// When it was measured, in nanoseconds of the machine's monotonic clock.
        private let measuredAt = LoopCounter()

        func set(_ duration: TimeAmount, at now: NIODeadline) {
            lag.set(Int(max(0, duration.nanoseconds)))
            measuredAt.set(Int(now.uptimeNanoseconds))
        }

        var time: Int64 { Int64(measuredAt.value) }

        func nanoseconds(at now: NIODeadline) -> Int64 {
            Int64(now.uptimeNanoseconds) - time < LoopLag.validity ? Int64(lag.value) : 0
        }
    }

    private static let pause = TimeAmount.milliseconds(20)
    private static let delay = TimeAmount.milliseconds(1)
    /// A number is forgotten after this time, because an idle loop measures nothing.
    fileprivate static let validity: Int64 = 1_000_000_000

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Counts a request, whether the lag matters for it or not.
    func countArrival() { arrivals &+= 1 }

    /// How many requests wait for a loop that is so late: as many as come in that time.
    func waitingRequests(lag: Int64) -> Double { arrivalRate * Double(lag) }

    /// Measures again if the last time was long ago. Call it for each request.
    func sample(at now: NIODeadline) {
        guard !isWaiting, now >= nextSample else { return }
        let due = now + Self.delay
        let elapsed = (now - countedSince).nanoseconds
        arrivalRate = elapsed > 0 ? Double(arrivals) / Double(elapsed) : 0
        (arrivals, countedSince) = (0, now)
        isWaiting = true
        eventLoop.assumeIsolated().scheduleTask(deadline: due) {
            let now = NIODeadline.now()
            self.isWaiting = false
            self.nextSample = now + Self.pause
            self.timer.set(now - due, at: now)
        }
    }

    /// Notes how long the bytes of one read have waited.
    func note(waited: TimeAmount, at now: NIODeadline) { socket.set(waited, at: now) }

    /// When the lag was measured last, in nanoseconds of the machine's monotonic clock; 0 where it never was.
    var lastMeasurement: Int64 { max(timer.time, socket.time) }

    /// The longer of the last two measurements in nanoseconds; those of more than a second ago do not count.
    func nanoseconds(at now: NIODeadline) -> Int64 { max(timer.nanoseconds(at: now), socket.nanoseconds(at: now)) }
}
