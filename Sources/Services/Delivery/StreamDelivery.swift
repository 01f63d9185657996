import Commerce
import FaultPoints
import Logging
import Redis
import Store
import Synchronization
import TraceContext

/// Appends the events of the outbox to the Redis stream `events:{orders}`, where no data platform is configured: at least once and in
/// the order of their places.
///
/// Redis may lose its latest writes in a crash or a failover, or be restored from an older copy, after the store has marked these events
/// as delivered. So Redis keeps the id of the stream's last event, which the appending script moves. That id is compared with the store
/// after each connect, and where the script finds another id than this service expects; events that the stream has lost are sent again.
final class StreamDelivery: Sendable {
    private let store: TransactionalStore
    private let redis: RedisClient
    private let clock: WallClock
    private let found: FindingCounter
    private let logger: Logger
    /// Raised when events may be due: after a commit that appended or retried some, and after a reconnect.
    let wakeup: Wakeup
    /// The id of the stream's last event as Redis has it; `nil` while unknown. The generation counts how often it was dropped.
    private let last = Mutex<(value: String?, generation: UInt64)>((nil, 0))

    /// About how many events the stream keeps.
    static let length: Int64 = 100_000
    private static let eventsPerCall = 256

    init(
        store: TransactionalStore, redis: RedisClient, clock: WallClock, wakeup: Wakeup = Wakeup(),
        found: FindingCounter = FindingCounter(), logger: Logger
    ) {
        (self.store, self.redis, self.clock, self.wakeup, self.logger) = (store, redis, clock, wakeup, logger)
        self.found = found
    }

    /// Makes the next step compare stream and store. Call it after a reconnect, which may lead to another Redis or to an older copy.
    func forgetLast() {
        last.withLock { $0 = (nil, $0.generation + 1) }
        wakeup.raise()
    }

    /// Appends the waiting events.
    func step() async throws {
        var (known, generation) = last.withLock { $0 }
        var after = EventPlace(0)
        if known == nil { known = try await compare() }
        while let expected = known {
            let found = try await store.waitingEvents(after: after, limit: Self.eventsPerCall)
            let events = found.events
            guard let through = found.through else { break }
            guard let newest = events.last else {
                after = through
                continue
            }
            FaultPoint.beforeDelivery.reached()
            guard try await append(events, after: expected) else {
                known = try await compare()
                after = EventPlace(0)
                continue
            }
            FaultPoint.afterDelivery.reached()
            known = "\(newest.id)"
            try await store.markDelivered(events.map(\.id))
            after = through
        }
        last.withLock { [known] last in
            // After a reconnect, an id that was read before it is no longer valid.
            if last.generation == generation { last.value = known }
        }
    }

    /// Appends events. Returns false where the stream's last event is another than expected.
    private func append(_ events: [OutgoingEvent], after expected: String) async throws -> Bool {
        var arguments: [RedisArgument] = [.string(expected), .integer(Self.length)]
        for event in events {
            arguments.append(.integer(event.id.rawValue))
            arguments.append(.string(event.kind.rawValue))
            arguments.append(.integer(event.orderID.rawValue))
            arguments.append(.string(event.payload))
            arguments.append(.string(event.trace?.child().description ?? ""))
        }
        let reply = try await redis.evaluate(
            Scripts.appendEvents, keys: [.string(RedisKeys.events), .string(RedisKeys.lastEvent)], arguments: arguments)
        switch try ScriptAnswer<AppendEventsCode>(reply, of: Scripts.appendEvents).code {
        case .appended: return true
        case .otherLast: return false
        }
    }

    /// Marks events as waiting again that are delivered by the store and lost by the stream.
    ///
    /// - Returns: the id of the stream's last event as Redis has it; empty where it has none.
    private func compare() async throws -> String {
        let replies = try await redis.pipeline([
            RedisCommand("GET", .string(RedisKeys.lastEvent), isRepeatable: true),
            RedisCommand("EXISTS", .string(RedisKeys.events), isRepeatable: true),
        ])
        for case .error(let error) in replies { throw RedisError(error) }
        let value = replies[0].string ?? ""
        let isThere = replies[1].integer == 1
        // A stream of an earlier version, which had no such key: its events are taken as delivered.
        if value.isEmpty, isThere { return value }
        let last = try await store.place(of: EventID(Int64(value) ?? 0))
        let lost = try await store.redeliver(after: last, atMost: Int(Self.length), at: clock.now)
        if lost > 0 {
            found.add(.streamEventLost, lost)
            logger.warning(
                "the stream has lost events that were delivered, they are sent again",
                metadata: ["events": "\(lost)", "last": "\(value.isEmpty ? "none" : value)"])
        }
        return value
    }
}
