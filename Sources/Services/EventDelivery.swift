import Commerce
import FaultPoints
import Logging
import Store

/// Delivers the events of the outbox: at least once, in order for each order, with growing pauses after failures. What keeps
/// failing is parked for an operator and blocks only its own order.
struct EventDelivery: Sendable {
    let store: Store
    let sink: any EventSink
    let clock: WallClock
    let logger: Logger
    /// Tries before an event is parked.
    var maximumTries: Int64 = 20
    /// Half a second at first and ten minutes in the end: 20 tries take about an hour and a half.
    var backoff = Backoff(firstMilliseconds: 500, longestMilliseconds: 600_000)

    /// Batches on their way at once.
    private static let concurrency = 32
    /// Events read at once.
    private static let eventsPerStep = 256

    /// How often new events are looked for while others are on their way.
    private static let pauseWhileDelivering: Duration = .milliseconds(50)

    private enum Progress: Sendable {
        case done([EventID], isOutage: Bool)
        case lookAgain
    }

    /// Delivers what is due; goes on until nothing is. An event that hangs holds up its own order only: the others go past it,
    /// those that come up meanwhile too.
    func step() async throws {
        try await withThrowingTaskGroup(of: Progress.self) { group in
            var waiting: ArraySlice<OutgoingEvent> = []
            var underWay: Set<EventID> = []
            // A look reads all that is due, what is on its way too: it is not worth it after each event that arrived.
            var (isWorthALook, batches) = (true, 0)
            var (isPausing, isOutage) = (false, false)
            while true {
                if waiting.isEmpty, isWorthALook, !isOutage {
                    // Each order appears once among what is due, so orders overtake one another and events of one order do not.
                    let due = try await store.dueEvents(at: clock.now, limit: Self.eventsPerStep)
                    waiting = due.filter { !underWay.contains($0.id) }[...]
                    isWorthALook = due.count == Self.eventsPerStep && !waiting.isEmpty
                }
                while batches < Self.concurrency, !waiting.isEmpty {
                    let batch = Array(waiting.prefix(sink.batchSize))
                    waiting = waiting.dropFirst(batch.count)
                    underWay.formUnion(batch.map(\.id))
                    batches += 1
                    group.addTask { .done(batch.map(\.id), isOutage: try await deliver(batch)) }
                }
                if batches == 0 { break }
                if !isPausing {
                    isPausing = true
                    group.addTask {
                        try? await Task.sleep(for: Self.pauseWhileDelivering)
                        return .lookAgain
                    }
                }
                switch try await group.next() {
                case .done(let ids, let metOutage):
                    underWay.subtract(ids)
                    batches -= 1
                    // The next events of those orders are due now.
                    if batches == 0 { isWorthALook = true }
                    // What is on its way may arrive; nothing new is sent after it.
                    if metOutage { (isOutage, waiting) = (true, []) }
                case .lookAgain, nil:
                    (isPausing, isWorthALook) = (false, true)
                }
            }
            group.cancelAll()
            if isOutage { throw ServiceError(.deliveryFailed, "events wait until their sink can be reached") }
        }
    }

    /// Delivers a batch and notes how it went; true where the sink could not be reached at all.
    private func deliver(_ batch: [OutgoingEvent]) async throws -> Bool {
        do {
            FaultPoint.beforeDelivery.reached()
            try await sink.deliver(batch)
            FaultPoint.afterDelivery.reached()
        } catch {
            // The service stops: the platform may have the event or not, and is not to blame.
            try Task.checkCancellation()
            if sink.isOutage(error) { return true }
            for event in batch { try await note(error, of: event) }
            return false
        }
        try await store.markDelivered(batch.map(\.id))
        return false
    }

    private func note(_ error: any Error, of event: OutgoingEvent) async throws {
        let failures = event.attempts + 1
        let text = String("\(error)".prefix(200))
        guard failures < maximumTries else {
            logger.error("event parked", metadata: ["event": "\(event.id)", "order": "\(event.orderID)", "error": "\(text)"])
            _ = try await store.park(event.id, error: text)
            return
        }
        let now = clock.now
        let next = now.advanced(byMilliseconds: backoff.milliseconds(afterFailures: failures)) ?? now
        logger.debug("event not delivered", metadata: ["event": "\(event.id)", "failures": "\(failures)", "error": "\(text)"])
        _ = try await store.markFailed(event.id, nextAttemptAt: next, error: text)
    }
}
