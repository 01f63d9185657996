import Commerce
import Logging
import Store

/// Delivers the events of the outbox: at least once, in order for each order, with growing pauses after failures. What keeps
/// failing is parked for an operator and blocks only its own order.
struct EventDelivery: Sendable {
    let store: Store
    let reader: PointReader
    let sink: any EventSink
    let clock: WallClock
    let logger: Logger
    /// Tries before an event is parked.
    var maximumTries: Int64 = 20
    /// With 20 tries, an event is parked after about an hour and a half.
    var backoff = Backoff(firstMilliseconds: 500, longestMilliseconds: 600_000)

    /// Events on their way at once.
    private static let concurrency = 32
    /// Events read at once.
    private static let eventsPerStep = 256

    /// Delivers what is due; goes on until nothing is.
    func step() async throws {
        while true {
            let due = try await store.dueEvents(at: clock.now, limit: Self.eventsPerStep)
            guard !due.isEmpty else { return }
            // Each order appears once in `due`, so orders overtake one another and events of one order do not.
            let outage = try await withThrowingTaskGroup { group in
                var outage = false
                for (index, record) in due.enumerated() {
                    if index >= Self.concurrency, try await group.next() == true { outage = true }
                    if outage { break }
                    group.addTask { try await deliver(record) }
                }
                for try await isOutage in group where isOutage { outage = true }
                return outage
            }
            if outage { throw ServiceError(.deliveryFailed, "events wait until their sink can be reached") }
        }
    }

    /// Delivers one event and notes how it went; true where the sink could not be reached at all.
    private func deliver(_ record: EventRecord) async throws -> Bool {
        let event = record.event
        do {
            try await sink.deliver(event)
        } catch {
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
