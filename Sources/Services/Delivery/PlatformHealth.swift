import Commerce

/// Why the data platform did not take an event.
enum DeliveryFailure: Error, Sendable, CustomStringConvertible {
    /// No connection could be made, so the platform has not received the event.
    case unreachable(String)
    /// An answer about the platform as a whole: 429 or 503, with the pause that it asks for.
    case unavailable(status: Int, retryAfter: Duration?)
    /// Any other failure that may be temporary: another 5xx, 408, a redirect, no answer in time, a broken connection.
    case failed(String)
    /// A 4xx about access to the platform, such as for a wrong address or secret: 401, 403, 404, 405, 407. It counts against the event,
    /// unless all events fail and the platform counts as down.
    case denied(status: Int)
    /// Any other 4xx: the platform refuses this event.
    case refused(status: Int)

    var description: String {
        switch self {
        case .unreachable(let reason), .failed(let reason): reason
        case .unavailable(let status, _), .denied(let status), .refused(let status): "the data platform answered \(status)"
        }
    }
}

/// Decides from the results of posts whether the platform is down, and how many posts may be sent: up to the limit while it is up, one
/// probe after each of growing pauses while it is down.
///
/// It does no I/O and reads no clock: each call is given the time.
struct PlatformHealth {
    /// The greatest number of concurrent posts while the platform is up.
    let limit: Int

    /// The pauses between probes: at most 30 s, because after an outage all events wait for the next probe.
    private let pauses = Backoff(firstMilliseconds: 500, longestMilliseconds: 30_000)
    /// When this many different events fail and none is taken in between, the platform counts as down.
    static let outageThreshold = 3
    /// The longest pause that the platform can ask for, in case its `Retry-After` is wrong.
    static let longestRetryAfter: Duration = .seconds(300)

    private struct Outage {
        let since: Duration
        var resumes: Duration
        var probes: Int64 = 0
        /// Whether the platform has asked for a pause. Then the success of a post that was sent earlier does not end the outage.
        var isAskedFor: Bool
        var probe: EventID?
    }

    /// The events that have failed since the last success.
    private var failing: Set<EventID> = []
    private var outage: Outage?

    init(limit: Int) { self.limit = limit }

    var isDown: Bool { outage != nil }

    func isProbe(_ event: EventID) -> Bool { outage?.probe == event }

    /// When the next probe may be sent; `nil` while the platform is up or a probe is in flight.
    var nextProbe: Duration? { outage.flatMap { $0.probe == nil ? $0.resumes : nil } }

    /// How many more posts may be sent now.
    func room(inFlight: Int, at now: Duration) -> Int {
        guard let outage else { return max(0, limit - inFlight) }
        return outage.probe == nil && now >= outage.resumes ? 1 : 0
    }

    /// Must be called for each post that is sent.
    mutating func sent(_ event: EventID) {
        if outage != nil { outage?.probe = event }
    }

    /// Notes a success. Returns true where it ends an outage.
    mutating func succeeded(_ event: EventID, sentAt: Duration) -> Bool {
        if let outage, outage.isAskedFor, sentAt < outage.since { return false }
        defer { (failing, outage) = ([], nil) }
        return outage != nil
    }

    /// Notes a failure. Returns true where it begins an outage.
    mutating func failed(_ event: EventID, _ failure: DeliveryFailure, at now: Duration) -> Bool {
        let (isSign, isCertain, asked) = Self.meaning(of: failure)
        if outage?.probe == event {
            outage?.probe = nil
            guard isSign else { return false }
            outage?.probes += 1
            pause(at: now, asked: asked)
            return false
        }
        guard isSign else { return false }
        failing.insert(event)
        if outage != nil {
            if asked != nil { pause(at: now, asked: asked) }
            return false
        }
        guard isCertain || failing.count >= Self.outageThreshold else { return false }
        outage = Outage(since: now, resumes: now, isAskedFor: false)
        outage?.probes = 1
        pause(at: now, asked: asked)
        return true
    }

    /// Notes a post whose end says nothing about the platform, because the service stops or its own store failed.
    mutating func ended(_ event: EventID) {
        if outage?.probe == event { outage?.probe = nil }
    }

    private mutating func pause(at now: Duration, asked: Duration?) {
        guard let current = outage else { return }
        let own = now + .milliseconds(pauses.milliseconds(afterFailures: current.probes))
        outage?.resumes = max(own, asked.map { now + min($0, Self.longestRetryAfter) } ?? own, current.resumes)
        if asked != nil { outage?.isAskedFor = true }
    }

    /// Whether a failure is a sign of an outage, whether it is one for certain, and the pause that the platform asks for.
    private static func meaning(of failure: DeliveryFailure) -> (isSign: Bool, isCertain: Bool, asked: Duration?) {
        switch failure {
        case .unreachable: (true, true, nil)
        case .unavailable(_, let retryAfter): (true, true, retryAfter)
        case .failed, .denied: (true, false, nil)
        case .refused: (false, false, nil)
        }
    }
}
