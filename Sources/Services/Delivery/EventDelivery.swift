import Commerce
import FaultPoints
import Logging
import Store

/// Delivers the events of the outbox to the data platform: at least once, and in order for each order.
///
/// While the platform is down, all events wait, one probe goes out after each of growing pauses, and no try counts. A try counts
/// against an event where the platform refuses it, or where it fails and others are taken after it. What has no tries left is parked
/// for an operator, and blocks only the later events of its own order.
///
/// What is under way and what pauses lives in this actor, and is read again from the store after a restart.
actor EventDelivery {
    private let store: TransactionalStore
    private let sink: WebhookSink
    private let maximumTries: Int64
    private let clock: WallClock
    private let steady: SteadyClock
    private let logger: Logger
    /// Raised when events may be due: after a commit that appended or retried some, and after a reconnect.
    nonisolated let wakeup: Wakeup

    private var queue = DeliveryQueue()
    private var health = PlatformHealth(limit: WebhookSink.concurrency)
    /// Failures that may be the platform's or the event's own: others that are taken later will tell.
    private var doubtful: [EventID: Doubt] = [:]
    /// Events that were taken, and the store could not note it.
    private var unmarked: Set<EventID> = []
    /// Everything up to this event was read from the store.
    private var cursor = EventID(0)
    private var retriesSeen: UInt64 = 0
    private var look = Look()
    private nonisolated let retries = Wakeup()

    private struct Doubt {
        let reason: String
        let at: Duration
    }

    /// What was raised when the store was last asked for events, and whether it may have more.
    private struct Look {
        var seen: UInt64?
        var mayHaveMore = true
        /// Whether the last look is long enough ago for another one while events are on their way.
        var isDue = true
    }

    private enum Progress: Sendable {
        case ended(EventID, sentAt: Duration, Result<Void, DeliveryFailure>)
        case taken(EventID, notNoted: StoreError)
        case stopped(EventID)
        case noted(StoreError?)
        case lookAgain
    }

    /// The pauses of an event whose tries count: half a second at first and ten minutes in the end.
    private static let pauses = Backoff(firstMilliseconds: 500, longestMilliseconds: 600_000)
    /// The longest pause of an event while it is unknown whether the event or the platform causes the failures.
    private static let longestDoubtfulPause: Duration = .seconds(30)
    /// Tries before an event that the platform refuses is parked. Not at once: a 4xx may come from a platform that is being deployed
    /// or whose secret is being changed. But not often either: what was refused will be refused, and holds up its order.
    static let triesWhereRefused: Int64 = 5
    /// Events read from the store at once, and how many are left when it is asked for more.
    private static let (pageSize, lowWater) = (256, 64)
    /// How often the store is asked for new events while others are on their way.
    private static let pauseBetweenLooks: Duration = .milliseconds(50)

    init(
        store: TransactionalStore, sink: WebhookSink, clock: WallClock, steady: SteadyClock = .system, wakeup: Wakeup = Wakeup(),
        logger: Logger
    ) {
        (self.store, self.sink, self.clock, self.steady, self.wakeup, self.logger) = (store, sink, clock, steady, wakeup, logger)
        maximumTries = sink.platform.maximumTries
    }

    /// Has events that were passed over, because they or earlier ones were parked, looked at again.
    nonisolated func lookAgainAtAll() {
        retries.raise()
        wakeup.raise()
    }

    /// Delivers what is due; goes on until nothing is. An event that hangs holds up its own order only: the others go past it, those
    /// that come up meanwhile too.
    ///
    /// - Returns: after which time something is due again; `nil` where nothing waits for a time.
    func step() async throws -> Duration? {
        try await noteTaken()
        let failure = await withTaskGroup(of: Progress.self) { group -> StoreError? in
            var (underWay, notes, isWaiting) = (0, 0, false)
            var failure: StoreError?
            while true {
                if failure == nil, !Task.isCancelled {
                    do throws(StoreError) {
                        try await refill(whileDelivering: underWay > 0)
                        for event in try await take(underWay: underWay) {
                            underWay += 1
                            group.addTask { [self] in await send(event, at: steady.now) }
                        }
                    } catch {
                        // What is under way is heard out first.
                        failure = error
                    }
                }
                guard underWay + notes > 0 else { break }
                if !isWaiting {
                    isWaiting = true
                    let (seen, rest) = (look.seen ?? wakeup.count, timeUntilDue ?? .seconds(60))
                    group.addTask { [wakeup] in
                        try? await Task.sleep(for: Self.pauseBetweenLooks)
                        await wakeup.wait(past: seen, atMost: rest)
                        return .lookAgain
                    }
                }
                switch await group.next() {
                case .ended(let id, let sentAt, .success):
                    underWay -= 1
                    let counted = succeeded(id, sentAt: sentAt)
                    notes += counted.count
                    for note in counted { group.addTask { await note() } }
                case .ended(let id, let sentAt, .failure(let reason)):
                    underWay -= 1
                    if let note = failed(id, reason, sentAt: sentAt) {
                        notes += 1
                        group.addTask { await note() }
                    }
                case .taken(let id, let error):
                    underWay -= 1
                    unmarked.insert(id)
                    failure = error
                case .stopped(let id):
                    underWay -= 1
                    health.ended(id)
                    queue.putBack(id)
                case .noted(let error):
                    notes -= 1
                    failure = failure ?? error
                case .lookAgain, nil: (isWaiting, look.isDue) = (false, true)
                }
            }
            group.cancelAll()
            return failure
        }
        if let failure { throw failure }
        try Task.checkCancellation()
        return timeUntilDue
    }

    /// How long until a pause ends, of an event or of all.
    private var timeUntilDue: Duration? {
        let now = steady.now
        guard health.isDown else { return queue.nextPauseEnd.map { max(.zero, $0 - now) } }
        guard let probe = health.nextProbe, queue.count > 0 else { return nil }
        // Where every event pauses for itself, the first of them is the probe.
        return max(.zero, probe - now, queue.readyCount == 0 ? (queue.nextPauseEnd ?? now) - now : .zero)
    }
}

// MARK: - What is due

extension EventDelivery {
    /// Reads further events, where there may be some and few are left.
    private func refill(whileDelivering: Bool) async throws(StoreError) {
        let seen = wakeup.count
        let retried = retries.count
        if retried != retriesSeen {
            (retriesSeen, cursor) = (retried, EventID(0))
            look.mayHaveMore = true
        }
        if seen != look.seen, !whileDelivering || look.isDue { look.mayHaveMore = true }
        while look.mayHaveMore, queue.readyCount < Self.lowWater, !queue.isFull {
            let page = try await store.waitingEvents(after: cursor, limit: Self.pageSize)
            look.isDue = false
            for event in page where !unmarked.contains(event.id) { queue.add(event, pausingUntil: restOfPause(of: event)) }
            cursor = page.last?.id ?? cursor
            look.mayHaveMore = page.count == Self.pageSize
            look.seen = seen
        }
    }

    /// Until when an event that failed before a restart pauses. The clock may have been moved since: a pause is no longer than it ever was.
    private func restOfPause(of event: OutgoingEvent) -> Duration? {
        guard event.attempts > 0 else { return nil }
        let rest = event.nextAttemptAt.milliseconds - clock.now.milliseconds
        guard rest > 0, rest <= Self.pauses.longestMilliseconds(afterFailures: event.attempts) else { return nil }
        return steady.now + .milliseconds(rest)
    }

    /// The events that may be sent now, with their payloads.
    private func take(underWay: Int) async throws(StoreError) -> [(id: EventID, payload: String)] {
        let room = health.room(underWay: underWay, at: steady.now)
        guard room > 0 else { return [] }
        let entries = queue.take(room, at: steady.now)
        guard !entries.isEmpty else { return [] }
        for entry in entries { health.sent(entry.id) }
        let unread = entries.filter { $0.payload == nil }.map(\.id)
        let payloads: [EventID: String]
        do throws(StoreError) {
            payloads =
                unread.isEmpty
                ? [:]
                : Dictionary(uniqueKeysWithValues: try await store.waitingEvents(unread).map { ($0.id, $0.payload) })
        } catch {
            for entry in entries {
                health.ended(entry.id)
                queue.putBack(entry.id)
            }
            throw error
        }
        return entries.compactMap { entry in
            guard let payload = entry.payload ?? payloads[entry.id] else {
                // The event is not waiting any more: another service or an operator has changed its state.
                health.ended(entry.id)
                queue.remove(entry.id)
                return nil
            }
            return (entry.id, payload)
        }
    }
}

// MARK: - How it went

extension EventDelivery {
    private nonisolated func send(_ event: (id: EventID, payload: String), at sentAt: Duration) async -> Progress {
        do throws(DeliveryFailure) {
            FaultPoint.beforeDelivery.reached()
            try await sink.post(event.payload, of: event.id)
            FaultPoint.afterDelivery.reached()
        } catch {
            // The service stops: the platform may have the event or not, and is not to blame.
            if Task.isCancelled { return .stopped(event.id) }
            return .ended(event.id, sentAt: sentAt, .failure(error))
        }
        do throws(StoreError) {
            try await store.markDelivered([event.id])
        } catch {
            return .taken(event.id, notNoted: error)
        }
        return .ended(event.id, sentAt: sentAt, .success(()))
    }

    /// Notes what was taken while the store could not write, so that it is not sent again.
    private func noteTaken() async throws {
        guard !unmarked.isEmpty else { return }
        try await store.markDelivered(unmarked.sorted())
        for id in unmarked { queue.remove(id) }
        unmarked = []
    }

    private typealias Note = @Sendable () async -> Progress

    /// Writes how a try went; where the store cannot, the event is looked at again as the store has it.
    private nonisolated func note(_ write: @escaping @Sendable () async throws(StoreError) -> Void) -> Note {
        { [self] in
            do throws(StoreError) {
                try await write()
                return .noted(nil)
            } catch {
                lookAgainAtAll()
                return .noted(error)
            }
        }
    }

    /// The event is through. Failures of others, before it was sent, count against them: the platform is up.
    private func succeeded(_ id: EventID, sentAt: Duration) -> [Note] {
        queue.remove(id)
        doubtful[id] = nil
        if health.succeeded(id, sentAt: sentAt) {
            logger.notice("the data platform takes events again")
            queue.endPauses()
            doubtful = [:]
        }
        guard !doubtful.isEmpty else { return [] }
        var notes: [Note] = []
        for (id, doubt) in doubtful where doubt.at <= sentAt {
            doubtful[id] = nil
            if let note = count(doubt.reason, against: id, tries: maximumTries, since: doubt.at) { notes.append(note) }
        }
        return notes
    }

    private func failed(_ id: EventID, _ failure: DeliveryFailure, sentAt: Duration) -> Note? {
        let now = steady.now
        logger.debug("event not delivered", metadata: ["event": "\(id)", "reason": "\(failure)"])
        let (wasDown, wasProbe) = (health.isDown, health.isProbe(id))
        if health.failed(id, failure, at: now) {
            logger.warning("the data platform takes no events, they wait until it does: \(failure)")
            doubtful = [:]
        }
        let failures = (queue.entry(id)?.failures ?? 0) + 1
        let own = Duration.milliseconds(Self.pauses.milliseconds(afterFailures: failures))
        if case .refused = failure { return refuse(id, failure, since: now, pause: own) }
        if !health.isDown, case .denied = failure { return refuse(id, failure, since: now, pause: own) }
        if health.isDown {
            // All pause together. What a probe did not help comes last, so that one event cannot be every probe.
            queue.failed(id, goesFirst: !wasProbe)
        } else {
            if !wasDown { doubtful[id] = Doubt(reason: "\(failure)", at: now) }
            queue.failed(id, pausingUntil: now + min(own, Self.longestDoubtfulPause))
        }
        return nil
    }

    /// The platform refuses this event: the try counts, also while other events fail.
    private func refuse(_ id: EventID, _ failure: DeliveryFailure, since now: Duration, pause: Duration) -> Note? {
        queue.failed(id, pausingUntil: now + pause)
        return count("\(failure)", against: id, tries: min(maximumTries, Self.triesWhereRefused), since: now)
    }

    /// Counts a try against an event, and parks it where that was the last one.
    private func count(_ reason: String, against id: EventID, tries: Int64, since failedAt: Duration) -> Note? {
        guard let attempts = queue.count(against: id), let entry = queue.entry(id) else { return nil }
        let text = String(reason.prefix(200))
        if attempts >= tries {
            queue.park(id)
            doubtful[id] = nil
            logger.error(
                "event parked; later events of its order wait until it is retried",
                metadata: ["event": "\(id)", "order": "\(entry.orderID)", "error": "\(text)"])
            return note { [store] () async throws(StoreError) in _ = try await store.park(id, error: text) }
        }
        let pause = Self.pauses.milliseconds(afterFailures: attempts)
        queue.prolongPause(of: id, until: failedAt + .milliseconds(pause))
        let next = clock.now.advanced(byMilliseconds: pause) ?? clock.now
        return note { [store] () async throws(StoreError) in
            _ = try await store.markFailed(id, nextAttemptAt: next, error: text)
        }
    }
}
