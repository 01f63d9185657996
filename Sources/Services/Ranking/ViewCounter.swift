package import Commerce
import Redis
import Synchronization

/// Counts product views in memory and adds them to Redis in the background: no request waits for its view.
///
/// What is not yet in Redis lives in a mutex and is lost with the process: views break ties, nothing more.
package final class ViewCounter: Sendable {
    private let redis: RedisClient
    private let calendar: BusinessCalendar
    private let clock: WallClock
    private let counts: Mutex<Counts>
    /// Raised by the first view that waits.
    let wakeup = Wakeup()

    /// Products whose views may wait at once; with Redis away for long, further products are not counted.
    private static let maximumProducts = 100_000
    private static let productsPerCall = 1_000

    private struct Counts {
        var day: BusinessDay
        var dayEnds: Instant
        var current: [ProductID: Int64] = [:]
        var waiting: [(day: BusinessDay, views: [ProductID: Int64])] = []

        var products: Int { waiting.reduce(current.count) { $0 + $1.views.count } }

        /// Closes the day's account, so that what follows counts on another.
        mutating func close() {
            guard !current.isEmpty else { return }
            waiting.append((day, current))
            current = [:]
        }
    }

    init(redis: RedisClient, calendar: BusinessCalendar, clock: WallClock) {
        (self.redis, self.calendar, self.clock) = (redis, calendar, clock)
        let day = calendar.day(of: clock.now)
        counts = Mutex(Counts(day: day, dayEnds: calendar.start(of: day.advanced(byDays: 1))))
    }

    /// Counts one view on the business day of this moment.
    package func count(_ product: ProductID) {
        let now = clock.now
        let isFirst = counts.withLock { counts in
            if now >= counts.dayEnds {
                counts.close()
                counts.day = calendar.day(of: now)
                counts.dayEnds = calendar.start(of: counts.day.advanced(byDays: 1))
            }
            if counts.current[product] == nil, counts.products >= Self.maximumProducts { return false }
            counts.current[product, default: 0] += 1
            return counts.current.count == 1 && counts.current[product] == 1
        }
        if isFirst { wakeup.raise() }
    }

    /// Adds what was counted to Redis; what Redis does not take waits for the next time.
    package func flush() async throws {
        while let (day, views) = takeBatch() {
            var arguments: [RedisArgument] = [.integer(RankingDays.expirySeconds(of: day, in: calendar))]
            for (product, count) in views {
                arguments.append(.integer(product.rawValue))
                arguments.append(.integer(count))
            }
            do {
                let reply = try await redis.evaluate(
                    Scripts.recordViews, keys: [.string(RedisKeys.views(on: day)), .string(RedisKeys.rankingUnchanged)],
                    arguments: arguments)
                _ = try ScriptAnswer<RecordViewsCode>(reply, of: Scripts.recordViews)
            } catch {
                // A lost reply may mean that they were counted: then some views count twice, which only ties can notice.
                counts.withLock { $0.waiting.append((day, views)) }
                throw error
            }
        }
    }

    private func takeBatch() -> (BusinessDay, [ProductID: Int64])? {
        counts.withLock { counts -> (BusinessDay, [ProductID: Int64])? in
            if counts.waiting.isEmpty { counts.close() }
            guard let (day, all) = counts.waiting.popLast() else { return nil }
            var views = all
            if views.count > Self.productsPerCall {
                var rest = all
                views = [:]
                for product in rest.keys.prefix(Self.productsPerCall) { views[product] = rest.removeValue(forKey: product) }
                counts.waiting.append((day, rest))
            }
            return (day, views)
        }
    }
}
