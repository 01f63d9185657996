package import Commerce
import FaultPoints
package import Logging
package import Redis
package import Store

/// Rebuilds the day scores from the store, where Redis has lost scores or their offset, or where an operator asks for it.
///
/// Scores are staged under other keys and then put in place together with their offset. So no reader sees them incomplete, and the relay
/// continues from that offset as if it had counted every event itself.
package struct SalesRebuild: Sendable {
    private let store: TransactionalStore
    private let redis: RedisClient
    private let calendar: BusinessCalendar
    private let clock: WallClock
    /// Counts rebuilds; nil where an operator asks for them.
    private let found: FindingCounter?
    private let logger: Logger

    private static let productsPerCommand = 2_000
    /// After how many seconds Redis removes the staged scores of a rebuild that was interrupted.
    private static let stagedSeconds: Int64 = 600

    package init(store: TransactionalStore, redis: RedisClient, calendar: BusinessCalendar, clock: WallClock, logger: Logger) {
        self.init(store: store, redis: redis, calendar: calendar, clock: clock, found: nil, logger: logger)
    }

    init(
        store: TransactionalStore, redis: RedisClient, calendar: BusinessCalendar, clock: WallClock, found: FindingCounter?, logger: Logger
    ) {
        (self.store, self.redis, self.calendar, self.clock, self.logger) = (store, redis, calendar, clock, logger)
        self.found = found
    }

    /// Rebuilds the scores of every day that Redis keeps.
    ///
    /// - Parameter progress: is called after each day with the number of days that are staged, and of all days.
    /// - Returns: the last event that the scores contain.
    @discardableResult
    package func run(progress: (@Sendable (_ done: Int, _ of: Int) -> Void)? = nil) async throws -> EventID {
        // Scores and offset are read from one snapshot, so that they belong together. The clock is read after the snapshot has begun: if
        // it were read before and midnight came in between, events up to the offset could be of a day that is not rebuilt.
        let (days, totals, last) = try await store.snapshot { [calendar, clock] snapshot throws(StoreError) in
            let last = try snapshot.lastEventID()
            let days = RankingDays.all(until: calendar.day(of: clock.now))
            var totals: [[ProductUnits]] = []
            for day in days { totals.append(try snapshot.salesTotals(on: day)) }
            return (days, totals, last)
        }
        let build = String(UInt64.random(in: .min ... .max), radix: 36)
        for (index, day) in days.enumerated() {
            try await stage(totals[index], as: RedisKeys.stagedSales(on: day, build: build))
            progress?(index + 1, days.count)
        }
        var keys: [RedisArgument] = [
            .string(RedisKeys.applied), .string(RedisKeys.products), .string(RedisKeys.rankingUnchanged), .string(RedisKeys.store),
        ]
        var arguments: [RedisArgument] = [.integer(last.rawValue), .string(store.identity.description)]
        for (day, products) in zip(days, totals) {
            keys.append(.string(RedisKeys.sales(on: day)))
            keys.append(.string(RedisKeys.stagedSales(on: day, build: build)))
            arguments.append(.integer(RankingDays.expirySeconds(of: day, in: calendar)))
            arguments.append(.integer(Int64(products.count)))
        }
        FaultPoint.beforeSwapSales.reached()
        let reply = try await redis.evaluate(Scripts.swapSales, keys: keys, arguments: arguments)
        switch try ScriptAnswer<SwapSalesCode>(reply, of: Scripts.swapSales).code {
        case .swapped: break
        case .incomplete: throw ServiceError(.paused, "Redis has lost scores that were being rebuilt")
        case .otherStore: throw StoreAdmission.closeConnections(to: redis)
        }
        found?.add(.rankingRebuilt)
        logger.info("ranking rebuilt from the store", metadata: ["applied": "\(last)"])
        return last
    }

    private func stage(_ totals: [ProductUnits], as key: String) async throws {
        for start in stride(from: 0, to: totals.count, by: Self.productsPerCommand) {
            var words: [RedisArgument] = ["ZADD", .string(key)]
            for line in totals[start..<min(start + Self.productsPerCommand, totals.count)] {
                words.append(.integer(line.units))
                words.append(.integer(line.productID.rawValue))
            }
            _ = try await redis.send(RedisCommand(words: words, isRepeatable: true))
            _ = try await redis.send(RedisCommand("EXPIRE", .string(key), .integer(Self.stagedSeconds), isRepeatable: true))
        }
    }
}
