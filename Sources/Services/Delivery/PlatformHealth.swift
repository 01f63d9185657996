import Commerce

/// Why the data platform did not take an event.
enum DeliveryFailure: Error, Sendable, CustomStringConvertible {
    /// No connection could be made, so the platform has not seen the event.
    case unreachable(String)
    /// An answer that speaks of the whole platform: 429 or 503, with the pause that it asks for.
    case unavailable(status: Int, retryAfter: Duration?)
    /// Anything else that may pass: another 5xx, 408, a redirect, no answer in time, a broken connection.
    case failed(String)
    /// A 4xx that speaks of access to the platform, as a wrong address or secret does: 401, 403, 404, 405, 407. It counts against the
    /// event as any other, unless every event meets it.
    case denied(status: Int)
    /// Any other 4xx: the platform does not want this event.
    case refused(status: Int)

    var description: String {
        switch self {
        case .unreachable(let reason), .failed(let reason): reason
        case .unavailable(let status, _), .denied(let status), .refused(let status): "the data platform answered \(status)"
        }
    }
}

/// Tells from how posts end whether the platform is down, and how many may be sent meanwhile: as many as usual, or one probe after
/// each pause, which grow. Pure: the time comes with each call.
struct PlatformHealth {
    /// Posts at once while the platform is up.
    let limit: Int

    /// A probe costs the platform little, and after an outage everything waits for the next one.
    private let pauses = Backoff(firstMilliseconds: 500, longestMilliseconds: 30_000)
    /// So many events that fail with none taken in between are no longer about the events.
    static let eventsThatTell = 3
    /// The longest pause that the platform can ask for: with a mistake in its `Retry-After`, events wait no longer than that.
    static let longestRetryAfter: Duration = .seconds(300)

    private struct Outage {
        let since: Duration
        var resumes: Duration
        var probes: Int64 = 0
        /// The platform has asked for the pause: what was sent before says nothing against that.
        var isAskedFor: Bool
        var probe: EventID?
    }

    /// Events that failed since one was taken.
    private var failing: Set<EventID> = []
    private var outage: Outage?

    init(limit: Int) { self.limit = limit }

    var isDown: Bool { outage != nil }

    func isProbe(_ event: EventID) -> Bool { outage?.probe == event }

    /// When the next probe may go; `nil` while the platform is up or a probe is under way.
    var nextProbe: Duration? { outage.flatMap { $0.probe == nil ? $0.resumes : nil } }

    /// How many more posts may be sent now.
    func room(underWay: Int, at now: Duration) -> Int {
        guard let outage else { return max(0, limit - underWay) }
        return outage.probe == nil && now >= outage.resumes ? 1 : 0
    }

    /// Has to be told of each post that is sent.
    mutating func sent(_ event: EventID) {
        if outage != nil { outage?.probe = event }
    }

    /// An event was taken by a post that was sent at that time. True where this ends an outage.
    mutating func succeeded(_ event: EventID, sentAt: Duration) -> Bool {
        if let outage, outage.isAskedFor, sentAt < outage.since { return false }
        defer { (failing, outage) = ([], nil) }
        return outage != nil
    }

    /// A post came to nothing. True where this begins an outage.
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
        guard isCertain || failing.count >= Self.eventsThatTell else { return false }
        outage = Outage(since: now, resumes: now, isAskedFor: false)
        outage?.probes = 1
        pause(at: now, asked: asked)
        return true
    }

    /// A post ended without telling anything, because the service stops or its own store failed.
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
