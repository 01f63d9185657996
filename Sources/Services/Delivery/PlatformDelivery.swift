import Commerce
import FaultPoints
import Logging
import Store
import TraceContext

/// Delivers the events of the outbox to the data platform: at least once, and in order for each order.
///
/// While the platform is down, all events wait, and one event is sent as a probe after each of growing pauses. Such tries do not count
/// against events. A try counts where the platform refuses the event, or where it fails and the platform takes another event after it.
/// An event without tries left is parked for an operator, and holds up only the later events of its order.
///
/// The state lives in this actor. After a restart it is read from the store again.
actor PlatformDelivery {
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
    /// Failures caused either by the platform or by the event. If the platform takes another event later, it was the event.
    private var doubtful: [EventID: Doubt] = [:]
    /// Events that the platform has taken and that the store could not mark as delivered.
    private var unmarked: Set<EventID> = []
    /// Everything up to this place was read from the store.
    private var cursor = EventPlace(0)
    /// How far the events before the cursor were looked at again.
    private var review = EventPlace(0)
    private var retriesSeen: UInt64 = 0
    private var lastRead = LastRead()
    private nonisolated let retries = Wakeup()

    private struct Doubt {
        let reason: String
        let at: Duration
    }

    /// The last read of events from the store, and whether it may have more.
    private struct LastRead {
        /// The count of ``wakeup`` at that time.
        var seen: UInt64?
        /// When the store was last read for what nothing here tells of.
        var unasked: Duration?
        var mayHaveMore = true
        /// Whether the store may be read again while events are in flight: at most every 50 ms.
        var isDue = true
    }

    private enum Progress: Sendable {
        case ended(EventID, sentAt: Duration, Result<Void, DeliveryFailure>)
        /// The platform has taken the event, and the store could not mark it as delivered.
        case unmarked(EventID, StoreError)
        case stopped(EventID)
        /// The result of a failed try was written to the store, or could not be.
        case updated(StoreError?)
        case readAgain
    }

    /// The pauses of an event whose tries count: from half a second to ten minutes.
    private static let pauses = Backoff(firstMilliseconds: 500, longestMilliseconds: 600_000)
    /// The longest pause of an event while it is unknown whether the event or the platform causes the failures.
    private static let longestDoubtfulPause: Duration = .seconds(30)
    /// The tries before an event that the platform refuses is parked.
    ///
    /// More than one, because a 4xx may come from a platform that is being deployed or whose secret is being changed. Not many, because a
    /// refused event is most likely refused again, and holds up its order.
    static let triesWhereRefused: Int64 = 5
    /// How many events are read from the store at once, and below how many sendable events it is asked for more.
    private static let (pageSize, lowWater) = (256, 64)
    /// The least time between two reads of new events while others are in flight.
    private static let pauseBetweenReads: Duration = .milliseconds(50)
    /// How often the store is read unasked: other services append events, and make parked ones wait again.
    static let unaskedReads: Duration = .seconds(2)

    init(
        store: TransactionalStore, sink: WebhookSink, clock: WallClock, steady: SteadyClock = .system, wakeup: Wakeup = Wakeup(),
        logger: Logger
    ) {
        (self.store, self.sink, self.clock, self.steady, self.wakeup, self.logger) = (store, sink, clock, steady, wakeup, logger)
        maximumTries = sink.platform.maximumTries
    }

    /// Makes the next step read all waiting events again, because some that were held back may be waiting now.
    nonisolated func readAllAgain() {
        retries.raise()
        wakeup.raise()
    }

    /// Drops all that is known of the events, because another service may have delivered them meanwhile.
    func startOver() {
        (queue, health) = (DeliveryQueue(), PlatformHealth(limit: WebhookSink.concurrency))
        (doubtful, unmarked, lastRead) = ([:], [], LastRead())
        (cursor, review) = (EventPlace(0), EventPlace(0))
    }

    /// Delivers events until none may be sent now, including those that are appended meanwhile. An event that gets no answer holds up
    /// its own order only.
    ///
    /// - Returns: the time after which another step is needed without a wake-up; `nil` for no such time.
    func step() async throws -> Duration? {
        try await markTaken()
        let failure = await withTaskGroup(of: Progress.self) { group -> StoreError? in
            var (inFlight, updates, isWaiting) = (0, 0, false)
            var failure: StoreError?
            while true {
                if failure == nil, !Task.isCancelled, DutyTerm.isCurrentValid {
                    do throws(StoreError) {
                        try await refill(whileDelivering: inFlight > 0, whileUpdating: updates > 0)
                        for event in try await take(inFlight: inFlight) {
                            inFlight += 1
                            group.addTask { [self] in await send(event, at: steady.now) }
                        }
                    } catch {
                        // Thrown only after all events in flight have ended.
                        failure = error
                    }
                }
                guard inFlight + updates > 0 else { break }
                if !isWaiting {
                    isWaiting = true
                    let (seen, rest) = (lastRead.seen ?? wakeup.count, min(timeUntilDue ?? .seconds(60), Self.unaskedReads))
                    group.addTask { [wakeup] in
                        try? await Task.sleep(for: Self.pauseBetweenReads)
                        await wakeup.wait(past: seen, atMost: rest)
                        return .readAgain
                    }
                }
                switch await group.next() {
                case .ended(let id, let sentAt, .success):
                    inFlight -= 1
                    let counted = succeeded(id, sentAt: sentAt)
                    updates += counted.count
                    for update in counted { group.addTask { await update() } }
                case .ended(let id, let sentAt, .failure(let reason)):
                    inFlight -= 1
                    if let update = failed(id, reason, sentAt: sentAt) {
                        updates += 1
                        group.addTask { await update() }
                    }
                case .unmarked(let id, let error):
                    inFlight -= 1
                    unmarked.insert(id)
                    failure = error
                case .stopped(let id):
                    inFlight -= 1
                    health.ended(id)
                    queue.putBack(id)
                case .updated(let error):
                    updates -= 1
                    failure = failure ?? error
                case .readAgain, nil: (isWaiting, lastRead.isDue) = (false, true)
                }
            }
            group.cancelAll()
            return failure
        }
        if let failure { throw failure }
        try Task.checkCancellation()
        return timeUntilDue
    }

    /// The time until the next pause ends: an event's own, or the one before the next probe.
    private var timeUntilDue: Duration? {
        let now = steady.now
        guard health.isDown else { return queue.nextPauseEnd.map { max(.zero, $0 - now) } }
        guard let probe = health.nextProbe, queue.count > 0 else { return nil }
        // Where every event pauses, the one whose pause ends first is the probe.
        return max(.zero, probe - now, queue.readyCount == 0 ? (queue.nextPauseEnd ?? now) - now : .zero)
    }
}

// MARK: - Choosing events to send

extension PlatformDelivery {
    /// Reads further events from the store, where it may have some and few are left to send.
    private func refill(whileDelivering: Bool, whileUpdating: Bool) async throws(StoreError) {
        let seen = wakeup.count
        let retried = retries.count
        if retried != retriesSeen {
            (retriesSeen, cursor) = (retried, EventPlace(0))
            lastRead.mayHaveMore = true
        }
        if seen != lastRead.seen, !whileDelivering || lastRead.isDue { lastRead.mayHaveMore = true }
        if lastRead.unasked.map({ steady.now - $0 >= Self.unaskedReads }) ?? true {
            lastRead.unasked = steady.now
            lastRead.mayHaveMore = true
            // An event that is just being parked still waits in the store.
            if !whileUpdating { try await readAgain() }
        }
        while lastRead.mayHaveMore, queue.readyCount < Self.lowWater, !queue.isFull {
            let page = try await read(after: cursor)
            cursor = page.through ?? cursor
            lastRead.isDue = false
            lastRead.mayHaveMore = page.mayHaveMore
            lastRead.seen = seen
        }
    }

    /// Reads the next page of the waiting events up to the cursor again. Another service may have made some wait again that were parked, and
    /// those that an event held back are free once it is delivered after all.
    private func readAgain() async throws(StoreError) {
        guard review < cursor, !queue.isFull else {
            review = EventPlace(0)
            return
        }
        let page = try await read(after: review)
        review = page.mayHaveMore ? page.through ?? EventPlace(0) : EventPlace(0)
    }

    private func read(after place: EventPlace) async throws(StoreError) -> WaitingEvents {
        let page = try await store.waitingEvents(after: place, limit: Self.pageSize)
        for event in page.events where !unmarked.contains(event.id) { queue.add(event, pausingUntil: restOfPause(of: event)) }
        return page
    }

    /// When the pause of an event that failed before a restart ends; nil where it is over.
    ///
    /// If the machine's clock was set back since, the rest would be longer than any pause; then the event does not pause.
    private func restOfPause(of event: OutgoingEvent) -> Duration? {
        guard event.attempts > 0 else { return nil }
        let rest = event.nextAttemptAt.milliseconds - clock.now.milliseconds
        guard rest > 0, rest <= Self.pauses.longestMilliseconds(afterFailures: event.attempts) else { return nil }
        return steady.now + .milliseconds(rest)
    }

    /// What is posted of an event.
    private struct Message: Sendable {
        let id: EventID
        let payload: String
        let trace: TraceParent?
    }

    /// The events that may be sent now, with their payloads.
    private func take(inFlight: Int) async throws(StoreError) -> [Message] {
        let room = health.room(inFlight: inFlight, at: steady.now)
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
                // The event no longer waits: another service or an operator has changed its state.
                health.ended(entry.id)
                queue.remove(entry.id)
                return nil
            }
            return Message(id: entry.id, payload: payload, trace: entry.trace)
        }
    }
}

// MARK: - Results

extension PlatformDelivery {
    private nonisolated func send(_ event: Message, at sentAt: Duration) async -> Progress {
        guard DutyTerm.isCurrentValid else { return .stopped(event.id) }
        do throws(DeliveryFailure) {
            FaultPoint.beforeDelivery.reached()
            try await sink.post(event.payload, of: event.id, in: event.trace)
            FaultPoint.afterDelivery.reached()
        } catch {
            // The service stops. The platform may have taken the event or not, and the failure is not its own.
            if Task.isCancelled { return .stopped(event.id) }
            return .ended(event.id, sentAt: sentAt, .failure(error))
        }
        do throws(StoreError) {
            try await store.markDelivered([event.id])
        } catch {
            return .unmarked(event.id, error)
        }
        return .ended(event.id, sentAt: sentAt, .success(()))
    }

    /// Marks events as delivered that the platform took while the store could not write, so that they are not sent again.
    private func markTaken() async throws {
        guard !unmarked.isEmpty else { return }
        try await store.markDelivered(unmarked.sorted())
        for id in unmarked { queue.remove(id) }
        unmarked = []
    }

    /// Writes the result of a failed try to the store.
    private typealias Update = @Sendable () async -> Progress

    /// An update that makes the next step read the events again where the store cannot write.
    private nonisolated func update(_ write: @escaping @Sendable () async throws(StoreError) -> Void) -> Update {
        { [self] in
            do throws(StoreError) {
                try await write()
                return .updated(nil)
            } catch {
                readAllAgain()
                return .updated(error)
            }
        }
    }

    /// Removes a delivered event. Failures of other events before it was sent now count against these, because the platform is up.
    private func succeeded(_ id: EventID, sentAt: Duration) -> [Update] {
        queue.remove(id)
        doubtful[id] = nil
        if health.succeeded(id, sentAt: sentAt) {
            logger.notice("the data platform takes events again")
            queue.endPauses()
            doubtful = [:]
        }
        guard !doubtful.isEmpty else { return [] }
        var updates: [Update] = []
        for (id, doubt) in doubtful where doubt.at <= sentAt {
            doubtful[id] = nil
            if let update = countTry(doubt.reason, against: id, tries: maximumTries, since: doubt.at) { updates.append(update) }
        }
        return updates
    }

    /// Decides whether a failed try counts against the event, and when the event may be sent again.
    private func failed(_ id: EventID, _ failure: DeliveryFailure, sentAt: Duration) -> Update? {
        let now = steady.now
        logger.debug("event not delivered", metadata: metadata(of: id, ["reason": "\(failure)"]))
        let (wasDown, wasProbe) = (health.isDown, health.isProbe(id))
        if health.failed(id, failure, at: now) {
            logger.warning("the data platform takes no events; they wait until it does: \(failure)")
            doubtful = [:]
        }
        let failures = (queue.entry(id)?.failures ?? 0) + 1
        let own = Duration.milliseconds(Self.pauses.milliseconds(afterFailures: failures))
        if case .refused = failure { return refuse(id, failure, since: now, pause: own) }
        if !health.isDown, case .denied = failure { return refuse(id, failure, since: now, pause: own) }
        if health.isDown {
            // During an outage all events pause together. The event of a failed probe goes to the end, so that the next probe is another
            // event.
            queue.failed(id, goesFirst: !wasProbe)
        } else {
            if !wasDown { doubtful[id] = Doubt(reason: "\(failure)", at: now) }
            queue.failed(id, pausingUntil: now + min(own, Self.longestDoubtfulPause))
        }
        return nil
    }

    /// Counts a try that the platform has refused. It counts at once, also while other events fail.
    private func refuse(_ id: EventID, _ failure: DeliveryFailure, since now: Duration, pause: Duration) -> Update? {
        queue.failed(id, pausingUntil: now + pause)
        return countTry("\(failure)", against: id, tries: min(maximumTries, Self.triesWhereRefused), since: now)
    }

    /// Counts a try against an event, and parks the event where that was its last one.
    private func countTry(_ reason: String, against id: EventID, tries: Int64, since failedAt: Duration) -> Update? {
        guard let attempts = queue.addAttempt(to: id), let entry = queue.entry(id) else { return nil }
        let text = String(reason.prefix(200))
        if attempts >= tries {
            logger.error(
                "event parked; later events of its order wait until it is retried",
                metadata: metadata(of: id, ["order": "\(entry.orderID)", "error": "\(text)"]))
            queue.park(id)
            doubtful[id] = nil
            return update { [store] () async throws(StoreError) in _ = try await store.park(id, error: text) }
        }
        let pause = Self.pauses.milliseconds(afterFailures: attempts)
        queue.prolongPause(of: id, until: failedAt + .milliseconds(pause))
        let next = clock.now.advanced(byMilliseconds: pause) ?? clock.now
        return update { [store] () async throws(StoreError) in
            _ = try await store.markFailed(id, nextAttemptAt: next, error: text)
        }
    }

    /// What a log line says about an event: its id, its trace where it has one, and more.
    private func metadata(of id: EventID, _ more: Logger.Metadata) -> Logger.Metadata {
        var metadata = more
        metadata["event"] = "\(id)"
        if let trace = queue.entry(id)?.trace { metadata["trace"] = "\(trace.traceIDText)" }
        return metadata
    }
}
