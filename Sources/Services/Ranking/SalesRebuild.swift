package import Commerce
import FaultPoints
package import Logging
package import Redis
package import Store

/// Builds the day scores anew from the store: where Redis has lost its offset, or where an operator asks for it.
///
/// Scores are staged under other names and put in place together with their offset, so that no reader sees them half done and
/// the relay continues from the offset as if it had counted every event itself.
package struct SalesRebuild: Sendable {
    private let store: TransactionalStore
    private let redis: RedisClient
    private let calendar: BusinessCalendar
    private let clock: WallClock
    private let logger: Logger

    private static let productsPerCommand = 2_000
    /// A build that dies leaves nothing for longer than this.
    private static let stagedSeconds: Int64 = 600

    package init(store: TransactionalStore, redis: RedisClient, calendar: BusinessCalendar, clock: WallClock, logger: Logger) {
        (self.store, self.redis, self.calendar, self.clock, self.logger) = (store, redis, calendar, clock, logger)
    }

    /// Rebuilds every day that Redis keeps and answers the last event that the scores contain.
    ///
    /// `progress` is told after each day how many of how many are staged.
    @discardableResult
    package func run(progress: (@Sendable (_ done: Int, _ of: Int) -> Void)? = nil) async throws -> EventID {
        // One moment of the store: the scores and the offset belong together. The clock is read after that moment, so that no event
        // up to the offset lies on a day that is not rebuilt because midnight passed in between.
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
        case .incomplete: throw ServiceError(.paused, "Redis has forgotten scores that were being rebuilt")
        case .otherStore: throw StoreAdmission.giveUp(redis)
        }
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
