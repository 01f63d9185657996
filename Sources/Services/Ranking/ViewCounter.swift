package import Commerce
import Redis
import Synchronization

/// Counts product views in memory and adds them to Redis in the background, so that no request waits for it.
///
/// Views that are not in Redis yet live in a mutex and are lost when the process is killed. That is acceptable, because views only break
/// ties of the ranking.
package final class ViewCounter: Sendable {
    private let redis: RedisClient
    private let calendar: BusinessCalendar
    private let clock: WallClock
    private let counts: Mutex<Counts>
    /// Raised by the first view after a flush.
    let wakeup = Wakeup()

    /// The greatest number of products with waiting views. While Redis is away for long, views of further products are not counted.
    private static let maximumProducts = 100_000
    private static let productsPerCall = 1_000

    private struct Counts {
        var day: BusinessDay
        var dayEnds: Instant
        var current: [ProductID: Int64] = [:]
        var waiting: [(day: BusinessDay, views: [ProductID: Int64])] = []

        var products: Int { waiting.reduce(current.count) { $0 + $1.views.count } }

        /// Moves the current counts to the waiting ones.
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

    /// Counts one view on the present business day.
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

    /// Adds the counts to Redis. Counts that could not be added wait for the next flush.
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
                // If only the reply was lost, these views are counted twice, which at most decides a tie wrongly.
                counts.withLock { $0.waiting.append((day, views)) }
                throw error
            }
        }
    }

    /// Takes up to 1,000 products of one day; nil where nothing waits.
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
