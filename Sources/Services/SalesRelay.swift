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
    private let clock: WallClock
    private let logger: Logger
    private let applied = Mutex<EventID?>(nil)

    /// Events sent in one pipeline.
    private static let eventsPerStep = 256

    init(
        store: Store, reader: PointReader, redis: RedisClient, rebuild: SalesRebuild, calendar: BusinessCalendar, clock: WallClock,
        logger: Logger
    ) {
        self.store = store
        self.reader = reader
        self.redis = redis
        self.rebuild = rebuild
        self.calendar = calendar
        self.clock = clock
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
        var mark = try await standingMark()
        // After the mark, which a rebuild takes from its own and later look at the store.
        let last = try reader.lastEventID() ?? EventID(0)
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

    /// The last event that Redis has counted; where it has lost that, or the scores of a whole day, they are rebuilt first.
    private func standingMark() async throws -> EventID {
        if let known = applied.withLock({ $0 }) { return known }
        let days = RankingDays.all(until: calendar.day(of: clock.now))
        let replies = try await redis.pipeline(
            [RedisCommand("GET", .string(RedisKeys.applied), isRepeatable: true), RedisCommand("TIME", isRepeatable: true)]
                + days.map { RedisCommand("EXISTS", .string(RedisKeys.sales(on: $0)), isRepeatable: true) })
        if case .error(let error) = replies[0], error.kind != .wrongType { throw RedisError(error) }
        guard let number = replies[0].integer else { return try await rebuild.run() }
        let mark = EventID(number)
        let now = replies[1].array?.first?.integer ?? 0
        let absent = days.indices.filter { replies[2 + $0].integer == 0 }.map { days[$0] }
            .filter { RankingDays.expirySeconds(of: $0, in: calendar) > now }
        guard try await hasSales(on: absent, through: mark) else { return mark }
        logger.warning("the ranking has lost the scores of a day, rebuilding it", metadata: ["applied": "\(mark)"])
        return try await rebuild.run()
    }

    /// Whether one of these days must have scores once that event is counted.
    private func hasSales(on days: [BusinessDay], through mark: EventID) async throws -> Bool {
        if days.isEmpty { return false }
        return try await store.snapshot { snapshot throws(StoreError) in
            for day in days where try !snapshot.salesTotals(on: day, through: mark).isEmpty { return true }
            return false
        }
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
