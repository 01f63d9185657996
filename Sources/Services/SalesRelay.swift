import Commerce
import FaultPoints
import Logging
import Redis
import Store
import Synchronization

/// Carries the units of paid and refunded orders from the outbox to the day scores in Redis, each event exactly once.
///
/// Redis itself remembers the last event counted, in the same script that counts it: a repetition is refused, and a Redis that
/// went back in time goes on from its own mark. What it counted last lives in Redis; `applied` here is a copy to save a read.
final class SalesRelay: Sendable {
    private let store: Store
    private let reader: PointReader
    private let redis: RedisClient
    private let rebuild: SalesRebuild
    private let calendar: BusinessCalendar
    private let logger: Logger
    private let applied = Mutex<EventID?>(nil)

    /// Events sent in one pipeline.
    private static let eventsPerStep = 256

    init(store: Store, reader: PointReader, redis: RedisClient, rebuild: SalesRebuild, calendar: BusinessCalendar, logger: Logger) {
        self.store = store
        self.reader = reader
        self.redis = redis
        self.rebuild = rebuild
        self.calendar = calendar
        self.logger = logger
    }

    /// Events in the store that Redis has not counted as far as is known; `nil` while Redis was not asked yet.
    var lag: Int64? {
        guard let applied = applied.withLock({ $0 }), let last = try? reader.lastEventID()?.rawValue ?? 0 else { return nil }
        return last - applied.rawValue
    }

    /// Makes the next step ask Redis anew where it stands; after a reconnect it may be another server, or an older one.
    func forgetMark() { applied.withLock { $0 = nil } }

    /// Counts what is new, if anything is.
    func step() async throws {
        let last = try reader.lastEventID() ?? EventID(0)
        var mark = try await standingMark()
        if mark > last {
            logger.warning("the ranking is ahead of the store, rebuilding it", metadata: ["applied": "\(mark)", "last": "\(last)"])
            mark = try await rebuild.run()
        }
        while mark < last {
            let events = try await store.events(after: mark, limit: Self.eventsPerStep)
            guard !events.isEmpty else { break }
            mark = try await send(events, after: mark)
        }
        applied.withLock { $0 = mark }
    }

    private func standingMark() async throws -> EventID {
        if let known = applied.withLock({ $0 }) { return known }
        let mark = RedisCommand("GET", .string(RedisKeys.applied), isRepeatable: true)
        let reply = try await redis.pipeline([mark])[0]
        if let number = reply.integer { return EventID(number) }
        if case .error(let error) = reply, error.kind != .wrongType { throw RedisError(error) }
        return try await rebuild.run()
    }

    /// Sends events in order and answers the mark that Redis then has.
    private func send(_ events: [OrderEvent], after mark: EventID) async throws -> EventID {
        FaultPoint.beforeRecordSales.reached()
        let replies = try await redis.pipeline(events.map(command))
        FaultPoint.afterRecordSales.reached()
        var mark = mark
        for reply in replies {
            if case .error(let error) = reply {
                forgetMark()
                // Somebody put something else where a day or the mark stood: a rebuild replaces it.
                if error.kind == .wrongType { return try await rebuild.run() }
                throw RedisError(error)
            }
            let answer = try ScriptAnswer<RecordSalesCode>(reply, of: Scripts.recordSales)
            switch answer.code {
            case .applied: mark = EventID(answer.number(1))
            // Counted before, or Redis lost its latest: go on from where it says that it stands.
            case .notNext: return EventID(answer.number(1))
            case .noMark: return try await rebuild.run()
            }
        }
        return mark
    }

    private func command(for event: OrderEvent) -> RedisCommand {
        var arguments: [RedisArgument] = [
            .integer(event.id.rawValue), .integer(RankingDays.expirySeconds(of: event.saleDay, in: calendar)),
        ]
        for line in event.units {
            arguments.append(.integer(line.productID.rawValue))
            arguments.append(.integer(line.units))
        }
        return RedisCommand(
            Scripts.recordSales, keys: [.string(RedisKeys.applied), .string(RedisKeys.sales(on: event.saleDay))], arguments: arguments)
    }
}
