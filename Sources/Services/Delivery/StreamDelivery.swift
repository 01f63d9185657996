import Commerce
import FaultPoints
import Logging
import Redis
import Store
import Synchronization

/// Appends the events of the outbox to the Redis stream `events:{orders}`, where no data platform is configured: at least once and in
/// the order of their ids.
///
/// Redis may lose its latest writes with a crash or a failover, or come back from an older copy, after the store has noted them as
/// delivered. So the id of the last event lives beside the stream and moves in the script that appends. After each connect, and where
/// the script finds another id than the one this service knows, the two are compared, and what the stream has lost is sent again.
final class StreamDelivery: Sendable {
    private let store: TransactionalStore
    private let redis: RedisClient
    private let clock: WallClock
    private let logger: Logger
    /// Raised when events may be due: after a commit that appended or retried some, and after a reconnect.
    let wakeup: Wakeup
    /// What the key of the last event holds; `nil` where that is not known.
    private let last = Mutex<(value: String?, generation: UInt64)>((nil, 0))

    /// How many events the stream keeps, roughly.
    static let length: Int64 = 100_000
    private static let eventsPerCall = 256

    init(store: TransactionalStore, redis: RedisClient, clock: WallClock, wakeup: Wakeup = Wakeup(), logger: Logger) {
        (self.store, self.redis, self.clock, self.wakeup, self.logger) = (store, redis, clock, wakeup, logger)
    }

    /// Makes the next step compare stream and store: after a reconnect it may be another server, or an older copy.
    func forgetLast() {
        last.withLock { $0 = (nil, $0.generation + 1) }
        wakeup.raise()
    }

    /// Appends what waits.
    func step() async throws {
        var (known, generation) = last.withLock { $0 }
        var after = EventID(0)
        if known == nil { known = try await compare() }
        while let expected = known {
            let events = try await store.waitingEvents(after: after, limit: Self.eventsPerCall)
            guard let newest = events.last else { break }
            FaultPoint.beforeDelivery.reached()
            guard try await append(events, after: expected) else {
                known = try await compare()
                after = EventID(0)
                continue
            }
            FaultPoint.afterDelivery.reached()
            known = "\(newest.id)"
            try await store.markDelivered(events.map(\.id))
            after = newest.id
        }
        last.withLock { [known] last in
            // What was learnt before a reconnect says nothing about the server behind it.
            if last.generation == generation { last.value = known }
        }
    }

    /// False where the stream ends with another event than expected.
    private func append(_ events: [OutgoingEvent], after expected: String) async throws -> Bool {
        var arguments: [RedisArgument] = [.string(expected), .integer(Self.length)]
        for event in events {
            arguments.append(.integer(event.id.rawValue))
            arguments.append(.string(event.kind.rawValue))
            arguments.append(.integer(event.orderID.rawValue))
            arguments.append(.string(event.payload))
        }
        let reply = try await redis.evaluate(
            Scripts.appendEvents, keys: [.string(RedisKeys.events), .string(RedisKeys.lastEvent)], arguments: arguments)
        switch try ScriptAnswer<AppendEventsCode>(reply, of: Scripts.appendEvents).code {
        case .appended: return true
        case .otherLast: return false
        }
    }

    /// Has events that the store knows as delivered and the stream has lost wait again; answers what the key of the last event holds.
    private func compare() async throws -> String {
        let replies = try await redis.pipeline([
            RedisCommand("GET", .string(RedisKeys.lastEvent), isRepeatable: true),
            RedisCommand("EXISTS", .string(RedisKeys.events), isRepeatable: true),
        ])
        for case .error(let error) in replies { throw RedisError(error) }
        let value = replies[0].string ?? ""
        let isThere = replies[1].integer == 1
        // An earlier version kept a stream without this key, and noted an event as delivered once the stream had it.
        if value.isEmpty, isThere { return value }
        let lost = try await store.redeliver(after: EventID(Int64(value) ?? 0), atMost: Int(Self.length), at: clock.now)
        if lost > 0 {
            logger.warning(
                "the stream has lost events that were delivered, they are sent again",
                metadata: ["events": "\(lost)", "last": "\(value.isEmpty ? "none" : value)"])
        }
        return value
    }
}
