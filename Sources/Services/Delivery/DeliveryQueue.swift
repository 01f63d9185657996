import Commerce
import DequeModule
import HeapModule
import Store

/// The waiting events that delivery knows of, in memory: which may go now, which pause after a failure, and which wait for earlier
/// ones of their order. Pure: the time comes with each call.
///
/// An event is read from the store once, and again only for its payload after a failure.
struct DeliveryQueue {
    /// An event under way to the platform.
    struct Entry: Sendable {
        let id: EventID
        let orderID: OrderID
        /// Tries that count against the event.
        var attempts: Int64
        /// Failures in a row, also those of an outage, which do not count as tries of the event.
        var failures: Int64
        /// `nil` after a failure: few events fail, but they may wait for long.
        var payload: String?
    }

    /// Events that are kept in memory, some 200 bytes each; further ones stay in the store alone.
    static let capacity = 100_000

    private var entries: [EventID: Entry] = [:]
    /// The events of each order, the next one first.
    private var lines: [OrderID: Deque<EventID>] = [:]
    /// Firsts of their orders that may go. One that is gone from `entries`, pauses or is under way is passed over.
    private var ready: Deque<EventID> = []
    /// Firsts of their orders that pause, and until when.
    private var paused: [EventID: Duration] = [:]
    /// The same by time. An end that is not that of `paused` any more is passed over.
    private var pauseEnds = Heap<PauseEnd>()
    private var underWay: Set<EventID> = []

    var count: Int { entries.count }
    var isFull: Bool { entries.count >= Self.capacity }
    /// How many may go at most.
    var readyCount: Int { ready.count }

    private struct PauseEnd: Comparable {
        let time: Duration
        let id: EventID

        static func < (left: Self, right: Self) -> Bool { (left.time, left.id) < (right.time, right.id) }
    }

    /// When the first pause ends.
    var nextPauseEnd: Duration? { pauseEnds.min?.time }

    /// Takes an event in that may not go before that time; one that is known stays as it is.
    mutating func add(_ event: OutgoingEvent, pausingUntil pause: Duration?) {
        guard entries[event.id] == nil else { return }
        entries[event.id] = Entry(
            id: event.id, orderID: event.orderID, attempts: event.attempts, failures: event.attempts, payload: event.payload)
        var line = lines[event.orderID] ?? []
        // After a retry, an earlier event of the order may come later.
        let place = line.lastIndex { $0 < event.id }.map { $0 + 1 } ?? 0
        let former = line.first
        line.insert(event.id, at: place)
        lines[event.orderID] = line
        guard place == 0 else { return }
        if let former {
            paused[former] = nil
            // What is on its way arrives; only what was not sent yet waits.
        }
        if let pause { self.pause(event.id, until: pause) } else { ready.append(event.id) }
    }

    /// Takes out those that may go now, at most so many.
    mutating func take(_ limit: Int, at now: Duration) -> [Entry] {
        while let end = pauseEnds.min, end.time <= now || paused[end.id] != end.time {
            pauseEnds.removeMin()
            guard paused[end.id] == end.time else { continue }
            paused[end.id] = nil
            ready.append(end.id)
        }
        var taken: [Entry] = []
        while taken.count < limit, let id = ready.popFirst() {
            guard let entry = entries[id], paused[id] == nil, !underWay.contains(id), lines[entry.orderID]?.first == id else { continue }
            underWay.insert(id)
            taken.append(entry)
        }
        return taken
    }

    /// The event is through: the next one of its order may go.
    mutating func remove(_ id: EventID) {
        underWay.remove(id)
        guard let entry = entries.removeValue(forKey: id), var line = lines[entry.orderID] else { return }
        paused[id] = nil
        let wasFirst = line.first == id
        line.removeAll { $0 == id }
        lines[entry.orderID] = line.isEmpty ? nil : line
        if wasFirst, let next = line.first, !underWay.contains(next) { ready.append(next) }
    }

    /// The event is parked: it leaves with the later ones of its order, which the store holds back until it is retried.
    mutating func park(_ id: EventID) {
        guard let order = entries[id]?.orderID else { return }
        for id in lines.removeValue(forKey: order) ?? [] {
            entries[id] = nil
            paused[id] = nil
            underWay.remove(id)
        }
    }

    /// The try came to nothing; the event may go again at that time, behind those that may go already.
    mutating func failed(_ id: EventID, pausingUntil pause: Duration) {
        if noteFailure(of: id) { self.pause(id, until: pause) }
    }

    /// The try came to nothing, and the event has no pause of its own: it comes before or behind those that may go already.
    mutating func failed(_ id: EventID, goesFirst: Bool) {
        guard noteFailure(of: id) else { return }
        if goesFirst { ready.prepend(id) } else { ready.append(id) }
    }

    private mutating func noteFailure(of id: EventID) -> Bool {
        underWay.remove(id)
        guard entries[id] != nil else { return false }
        entries[id]?.failures += 1
        entries[id]?.payload = nil
        return true
    }

    /// The try ended without telling anything.
    mutating func putBack(_ id: EventID) {
        underWay.remove(id)
        if entries[id] != nil { ready.append(id) }
    }

    /// A failure counts against the event after all; answers how many do.
    mutating func count(against id: EventID) -> Int64? {
        guard let entry = entries[id] else { return nil }
        entries[id]?.attempts = entry.attempts + 1
        return entry.attempts + 1
    }

    /// Moves the end of an event's pause, if it pauses.
    mutating func prolongPause(of id: EventID, until end: Duration) {
        if paused[id] != nil { pause(id, until: end) }
    }

    private mutating func pause(_ id: EventID, until end: Duration) {
        paused[id] = end
        pauseEnds.insert(PauseEnd(time: end, id: id))
    }

    func entry(_ id: EventID) -> Entry? { entries[id] }

    /// Ends all pauses: the failures were the platform's.
    mutating func endPauses() {
        for id in paused.keys.sorted() { ready.append(id) }
        (paused, pauseEnds) = ([:], Heap())
    }
}
