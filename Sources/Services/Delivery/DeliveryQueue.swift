import Commerce
import DequeModule
import HeapModule
import Store
import TraceContext

/// The undelivered events in memory: which may be sent now, which pause after a failure, and which wait for an earlier event of their
/// order.
///
/// It does no I/O and reads no clock: each call is given the time. An event is read from the store once; after a failure, its payload is
/// read again.
struct DeliveryQueue {
    /// An event that is not delivered yet.
    struct Entry: Sendable {
        let id: EventID
        let orderID: OrderID
        /// Tries that count against the event.
        var attempts: Int64
        /// Failures in a row, including those of an outage, which do not count against the event.
        var failures: Int64
        /// `nil` after a failure, to save memory: events that fail may wait for long.
        var payload: String?
        /// The trace that the event's posts belong to.
        let trace: TraceParent?
    }

    /// The greatest number of events in memory, about 200 bytes each. Further events are read from the store later.
    static let capacity = 100_000

    private var entries: [EventID: Entry] = [:]
    /// The events of each order, in the order in which they must be sent.
    private var eventsByOrder: [OrderID: Deque<EventID>] = [:]
    /// First events of their orders that may be sent. An id that is no longer in `entries`, pauses or is in flight is skipped.
    private var ready: Deque<EventID> = []
    /// First events of their orders that pause after a failure, and when the pause ends.
    private var paused: [EventID: Duration] = [:]
    /// The ends of pauses by time. An end that differs from the one in `paused` is outdated and skipped.
    private var pauseEnds = Heap<PauseEnd>()
    private var inFlight: Set<EventID> = []

    var count: Int { entries.count }
    var isFull: Bool { entries.count >= Self.capacity }
    /// An upper bound of the events that may be sent now.
    var readyCount: Int { ready.count }

    private struct PauseEnd: Comparable {
        let time: Duration
        let id: EventID

        static func < (left: Self, right: Self) -> Bool { (left.time, left.id) < (right.time, right.id) }
    }

    /// The end of the first pause.
    var nextPauseEnd: Duration? { pauseEnds.min?.time }

    /// Adds an event that may not be sent before `pause` ends. An event that is known already is not changed.
    mutating func add(_ event: OutgoingEvent, pausingUntil pause: Duration?) {
        guard entries[event.id] == nil else { return }
        entries[event.id] = Entry(
            id: event.id, orderID: event.orderID, attempts: event.attempts, failures: event.attempts, payload: event.payload,
            trace: event.trace)
        var events = eventsByOrder[event.orderID] ?? []
        // After an operator's retry, an earlier event of the order may be added after a later one.
        let place = events.lastIndex { $0 < event.id }.map { $0 + 1 } ?? 0
        let former = events.first
        events.insert(event.id, at: place)
        eventsByOrder[event.orderID] = events
        guard place == 0 else { return }
        if let former {
            // The former first event waits for this one, unless it is already in flight.
            paused[former] = nil
        }
        if let pause { self.pause(event.id, until: pause) } else { ready.append(event.id) }
    }

    /// Takes up to `limit` events that may be sent now; they are in flight from then on.
    mutating func take(_ limit: Int, at now: Duration) -> [Entry] {
        while let end = pauseEnds.min, end.time <= now || paused[end.id] != end.time {
            pauseEnds.removeMin()
            guard paused[end.id] == end.time else { continue }
            paused[end.id] = nil
            ready.append(end.id)
        }
        var taken: [Entry] = []
        while taken.count < limit, let id = ready.popFirst() {
            guard let entry = entries[id], paused[id] == nil, !inFlight.contains(id), eventsByOrder[entry.orderID]?.first == id else {
                continue
            }
            inFlight.insert(id)
            taken.append(entry)
        }
        return taken
    }

    /// Removes a delivered event, so that the next one of its order may be sent.
    mutating func remove(_ id: EventID) {
        inFlight.remove(id)
        guard let entry = entries.removeValue(forKey: id), var events = eventsByOrder[entry.orderID] else { return }
        paused[id] = nil
        let wasFirst = events.first == id
        events.removeAll { $0 == id }
        eventsByOrder[entry.orderID] = events.isEmpty ? nil : events
        if wasFirst, let next = events.first, !inFlight.contains(next) { ready.append(next) }
    }

    /// Removes a parked event and the later ones of its order, which the store holds back until an operator retries it.
    mutating func park(_ id: EventID) {
        guard let order = entries[id]?.orderID else { return }
        for id in eventsByOrder.removeValue(forKey: order) ?? [] {
            entries[id] = nil
            paused[id] = nil
            inFlight.remove(id)
        }
    }

    /// Notes a failed try. The event may be sent again when the pause ends, after those that may be sent already.
    mutating func failed(_ id: EventID, pausingUntil pause: Duration) {
        if noteFailure(of: id) { self.pause(id, until: pause) }
    }

    /// Notes a failed try without a pause for this event. It is put before or after the events that may be sent already.
    mutating func failed(_ id: EventID, goesFirst: Bool) {
        guard noteFailure(of: id) else { return }
        if goesFirst { ready.prepend(id) } else { ready.append(id) }
    }

    private mutating func noteFailure(of id: EventID) -> Bool {
        inFlight.remove(id)
        guard entries[id] != nil else { return false }
        entries[id]?.failures += 1
        entries[id]?.payload = nil
        return true
    }

    /// Puts back an event whose try says nothing about the event or the platform, for example because the service stops.
    mutating func putBack(_ id: EventID) {
        inFlight.remove(id)
        if entries[id] != nil { ready.append(id) }
    }

    /// Counts a failed try against the event.
    ///
    /// - Returns: how many count against it now; nil where the event is unknown.
    mutating func addAttempt(to id: EventID) -> Int64? {
        guard let entry = entries[id] else { return nil }
        entries[id]?.attempts = entry.attempts + 1
        return entry.attempts + 1
    }

    /// Changes the end of an event's pause, if it pauses.
    mutating func prolongPause(of id: EventID, until end: Duration) {
        if paused[id] != nil { pause(id, until: end) }
    }

    private mutating func pause(_ id: EventID, until end: Duration) {
        paused[id] = end
        pauseEnds.insert(PauseEnd(time: end, id: id))
    }

    func entry(_ id: EventID) -> Entry? { entries[id] }

    /// Ends all pauses. Call it when the platform is up again, because the failures were not the events' own.
    mutating func endPauses() {
        for id in paused.keys.sorted() { ready.append(id) }
        (paused, pauseEnds) = ([:], Heap())
    }
}
