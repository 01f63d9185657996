import Commerce
import FaultPoints
import Logging
import Redis
import Store
import Synchronization

/// Counts the units of paid and refunded orders from the outbox in the day scores of Redis, each event exactly once.
///
/// The offset is the id of the last event counted. It lives in Redis and is moved by the script that counts, so an event that is sent
/// again is refused. If Redis is restored from an older snapshot, the relay continues from its older offset. The copy here saves a read.
final class SalesRelay: Sendable {
    private let store: TransactionalStore
    private let reader: PointReader
    private let redis: RedisClient
    private let rebuild: SalesRebuild
    private let calendar: BusinessCalendar
    private let clock: WallClock
    private let logger: Logger
    /// Raised when there may be events to count: after a commit that appended some, and after a reconnect.
    let wakeup = Wakeup()
    private let known = Mutex(Known())
    /// The store's newest event, for ``lag``.
    private let newest: LatestRow<EventID>

    /// The copy of the offset. A step that began before the copy was dropped does not set it again.
    private struct Known {
        var applied: EventID?
        /// The offset that was learned last from the Redis that is connected, for ``lag``. It outlives a failure to count.
        var seen: EventID?
        var invalidationCount: UInt64 = 0
        /// Whether Redis was up to date before. If it then has no scores, it has lost them, which is worth a warning.
        var wasCurrent = false
    }

    /// How many events are read and sent at once.
    private static let eventsPerStep = 512

    init(
        store: TransactionalStore, reader: PointReader, redis: RedisClient, rebuild: SalesRebuild, calendar: BusinessCalendar,
        clock: WallClock,
        logger: Logger
    ) {
        self.store = store
        self.reader = reader
        self.redis = redis
        self.rebuild = rebuild
        self.calendar = calendar
        self.clock = clock
        self.logger = logger
        newest = LatestRow { () throws(StoreError) in try reader.findLastEventID() }
    }

    /// How many events of the store Redis has not counted; `nil` after a reconnect until the offset is read.
    var lag: Int64? {
        guard let seen = known.withLock({ $0.seen }), let last = newest.row else { return nil }
        return max(0, last.rawValue - seen.rawValue)
    }

    /// How often the copy of the offset was dropped.
    var invalidationCount: UInt64 { known.withLock { $0.invalidationCount } }

    /// Makes the next step read the offset from Redis.
    ///
    /// - Parameter reconnected: whether the connection may lead to another Redis or an older snapshot now, so that ``lag`` is unknown too.
    func forgetOffset(reconnected: Bool = true) {
        known.withLock { known in
            known.applied = nil
            if reconnected { known.seen = nil }
            known.invalidationCount += 1
        }
    }

    /// Keeps an offset for ``lag``, unless the copy was dropped since the step began.
    private func note(_ offset: EventID, _ invalidationCount: UInt64) {
        known.withLock { if $0.invalidationCount == invalidationCount { $0.seen = offset } }
    }

    /// Counts all events that were not counted yet.
    func step() async throws {
        let invalidationCount = invalidationCount
        var offset = try await currentOffset()
        note(offset, invalidationCount)
        // Read after the offset, because a rebuild takes its offset from a later snapshot of the store.
        let last = try await reader.findLastEventID().row
        newest.note(.success(last))
        if offset > last {
            logger.warning("the ranking is ahead of the store, rebuilding it", metadata: ["applied": "\(offset)", "last": "\(last)"])
            offset = try await rebuild.run()
        }
        while offset < last {
            let movements = try await store.movements(after: offset, limit: Self.eventsPerStep)
            // If the next event is missing, old events were removed from the store before this Redis had counted them.
            let isNext = movements.first?.eventID.rawValue == offset.rawValue + 1
            offset = isNext ? try await send(movements, after: offset) : try await rebuild.run()
            note(offset, invalidationCount)
        }
        known.withLock { known in
            if known.invalidationCount == invalidationCount { (known.applied, known.seen) = (offset, offset) }
            known.wasCurrent = true
        }
    }

    /// The last event that Redis has counted. Where Redis has lost the offset or scores, they are rebuilt first.
    private func currentOffset() async throws -> EventID {
        if let known = known.withLock({ $0.applied }) { return known }
        var state = try await look()
        // The commands of a look are not atomic, and an event may be counted in between. So scores must seem incomplete twice.
        if !state.isWhole { state = try await look() }
        // An offset below the base is of an earlier incarnation of the store.
        guard let offset = state.offset, offset >= store.identity.eventBase, state.isWhole else {
            if state.isNew, !known.withLock({ $0.wasCurrent }) {
                // Not worth a line where the store has no sales either.
                if try await reader.findLastEventID().row.rawValue > store.identity.eventBase {
                    logger.info("Redis has no ranking yet, making it from the store")
                }
            } else {
                logger.warning(
                    "the ranking has lost scores, rebuilding it", metadata: ["applied": "\(state.offset.map(String.init) ?? "none")"])
            }
            return try await rebuild.run()
        }
        if !state.gone.isEmpty {
            let fields = state.gone.map { RedisArgument.string($0) }
            _ = try await redis.send(RedisCommand(words: ["HDEL", .string(RedisKeys.products)] + fields, isRepeatable: true))
        }
        return EventID(offset)
    }

    /// The state of the scores in Redis.
    private struct State {
        let offset: Int64?
        /// Whether every day holds as many products as were counted into it.
        let isWhole: Bool
        /// Days that were counted and are no longer kept.
        let gone: [String]
        /// Whether nothing was ever counted: there is no offset and no day.
        let isNew: Bool
    }

    private func look() async throws -> State {
        let days = RankingDays.all(until: calendar.day(of: clock.now))
        let replies = try await redis.pipeline(
            [
                RedisCommand("GET", .string(RedisKeys.applied), isRepeatable: true),
                RedisCommand("TIME", isRepeatable: true).beside(RedisKeys.applied),
                RedisCommand("HGETALL", .string(RedisKeys.products), isRepeatable: true),
            ] + days.map { RedisCommand("ZCARD", .string(RedisKeys.sales(on: $0)), isRepeatable: true) })
        for case .error(let error) in replies where error.kind != .wrongType { throw RedisError(error) }
        var counted: [String: Int64] = [:]
        let fields = replies[2].array ?? []
        for index in stride(from: 0, to: fields.count - 1, by: 2) { counted[fields[index].string ?? ""] = fields[index + 1].integer ?? -1 }
        let now = replies[1].array?.first?.integer ?? 0
        var isWhole = true
        let isNew = replies[0] == .null && fields.isEmpty && replies[3...].allSatisfy { $0.integer == 0 }
        for (day, reply) in zip(days, replies[3...]) {
            let expected = counted.removeValue(forKey: RedisKeys.sales(on: day)) ?? 0
            if RankingDays.expirySeconds(of: day, in: calendar) > now, reply.integer != expected { isWhole = false }
        }
        return State(offset: replies[0].integer, isWhole: isWhole, gone: counted.keys.sorted(), isNew: isNew)
    }

    /// Sends events in order.
    ///
    /// - Returns: the offset that Redis then has.
    private func send(_ movements: [SalesMovement], after offset: EventID) async throws -> EventID {
        FaultPoint.beforeRecordSales.reached()
        let replies = try await redis.pipeline(SalesRun.runs(of: movements).map(command))
        FaultPoint.afterRecordSales.reached()
        var offset = offset
        for reply in replies {
            if case .error(let error) = reply {
                forgetOffset(reconnected: false)
                // The key of a day or of the offset has another Redis type. A rebuild replaces it.
                if error.kind == .wrongType { return try await rebuild.run() }
                throw RedisError(error)
            }
            let answer = try ScriptAnswer<RecordSalesCode>(reply, of: Scripts.recordSales)
            switch answer.code {
            case .applied: offset = EventID(answer.number(1))
            // The event was counted before, or Redis has lost its latest events: continue from the offset that it answered.
            case .notNext: return EventID(answer.number(1))
            case .noOffset, .dayChanged: return try await rebuild.run()
            case .otherStore:
                forgetOffset()
                throw StoreAdmission.closeConnections(to: redis)
            }
        }
        return offset
    }

    private func command(for run: SalesRun) -> RedisCommand {
        var arguments: [RedisArgument] = [
            .integer(run.first.rawValue), .integer(run.last.rawValue), .integer(RankingDays.expirySeconds(of: run.saleDay, in: calendar)),
            .string(store.identity.description),
        ]
        for (product, units) in run.units.sorted(by: { $0.key < $1.key }) {
            arguments.append(.integer(product.rawValue))
            arguments.append(.integer(units))
        }
        return RedisCommand(
            Scripts.recordSales,
            keys: [
                .string(RedisKeys.applied), .string(RedisKeys.sales(on: run.saleDay)), .string(RedisKeys.products),
                .string(RedisKeys.store),
            ],
            arguments: arguments)
    }
}

/// The sum of consecutive events of one business day, which Redis counts in one call.
struct SalesRun: Equatable {
    let first: EventID
    private(set) var last: EventID
    let saleDay: BusinessDay
    private(set) var units: [ProductID: Int64]

    private init(_ movement: SalesMovement) {
        (first, last, saleDay, units) = (movement.eventID, movement.eventID, movement.saleDay, [:])
        add(movement)
    }

    /// Groups events, given in the order of their ids. An event of another day, such as a refund, begins a new run.
    static func runs(of movements: [SalesMovement]) -> [SalesRun] {
        var runs: [SalesRun] = []
        for movement in movements {
            if let index = runs.indices.last, runs[index].saleDay == movement.saleDay,
                runs[index].last.rawValue + 1 == movement.eventID.rawValue
            {
                runs[index].add(movement)
            } else {
                runs.append(SalesRun(movement))
            }
        }
        return runs
    }

    private mutating func add(_ movement: SalesMovement) {
        last = movement.eventID
        for unit in movement.units { units[unit.productID, default: 0] += unit.units }
    }
}
