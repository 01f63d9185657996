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

    /// Events on their way at once.
    private static let concurrency = 32
    /// Events read at once.
    private static let eventsPerStep = 256

    /// How often new events are looked for while others are on their way.
    private static let pauseWhileDelivering: Duration = .milliseconds(50)

    private enum Progress: Sendable {
        case done(EventID, isOutage: Bool)
        case lookAgain
    }

    /// Delivers what is due; goes on until nothing is. An event that hangs holds up its own order only: the others go past it,
    /// those that come up meanwhile too.
    func step() async throws {
        try await withThrowingTaskGroup(of: Progress.self) { group in
            var waiting: ArraySlice<EventRecord> = []
            var underWay: Set<EventID> = []
            var (isPausing, isOutage) = (false, false)
            while true {
                if waiting.isEmpty, !isOutage {
                    // Each order appears once among what is due, so orders overtake one another and events of one order do not.
                    waiting = try await store.dueEvents(at: clock.now, limit: Self.eventsPerStep)
                        .filter { !underWay.contains($0.event.id) }[...]
                }
                while underWay.count < Self.concurrency, let record = waiting.popFirst() {
                    underWay.insert(record.event.id)
                    group.addTask { .done(record.event.id, isOutage: try await deliver(record)) }
                }
                if underWay.isEmpty { break }
                if !isPausing {
                    isPausing = true
                    group.addTask {
                        try? await Task.sleep(for: Self.pauseWhileDelivering)
                        return .lookAgain
                    }
                }
                switch try await group.next() {
                case .done(let id, let metOutage):
                    underWay.remove(id)
                    // What is on its way may arrive; nothing new is sent after it.
                    if metOutage { (isOutage, waiting) = (true, []) }
                case .lookAgain, nil:
                    isPausing = false
                }
            }
            group.cancelAll()
            if isOutage { throw ServiceError(.deliveryFailed, "events wait until their sink can be reached") }
        }
    }

    /// Delivers one event and notes how it went; true where the sink could not be reached at all.
    private func deliver(_ record: EventRecord) async throws -> Bool {
        let event = record.event
        do {
            FaultPoint.beforeDelivery.reached()
            try await sink.deliver(event)
            FaultPoint.afterDelivery.reached()
        } catch {
            // The service stops: the platform may have the event or not, and is not to blame.
            try Task.checkCancellation()
            if sink.isOutage(error) { return true }
            try await note(error, of: record)
            return false
        }
        _ = try await store.markDelivered(event.id)
        return false
    }

    private func note(_ error: any Error, of record: EventRecord) async throws {
        let event = record.event
        let failures = record.attempts + 1
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
