package import Commerce
package import Redis
package import Store
import Synchronization

/// The best sellers of the last three business days, read from memory and recomputed in the background.
///
/// The last result lives in a mutex. While Redis is away it does not change, and its `asOf` shows its age. Redis keeps the last result
/// too: services on one Redis share it, and none computes the union again while no sales or views have come in.
package final class Ranking: Sendable {
    private let reader: PointReader
    private let redis: RedisClient
    private let calendar: BusinessCalendar
    private let clock: WallClock
    private let state: Mutex<State>

    /// The number of places of the top list, as in `Sources/API/openapi.json`.
    package static let places = 5
    /// How many of each day's best sellers are read first, where the days have more than 20,000 products together. Further products are
    /// read only where these do not decide. A union of 20,000 products takes Redis about 10 ms.
    private static let depth: Int64 = 2_000
    /// After how many seconds Redis removes a union that was not computed again: a day.
    private static let unionSeconds: Int64 = 86_400

    private struct State {
        var top: TopProducts
        var order: [(product: ProductID, units: Int64)] = []
        /// When the list was computed last, by this service's clock.
        var refreshedAt: Instant?
    }

    package init(reader: PointReader, redis: RedisClient, calendar: BusinessCalendar, clock: WallClock) {
        (self.reader, self.redis, self.calendar, self.clock) = (reader, redis, calendar, clock)
        let now = clock.now
        let empty = TopProducts(
            window: calendar.rankingWindow(endingOn: calendar.day(of: now)), timeZone: calendar.timeZoneIdentifier, asOf: now, items: [],
            version: 0)
        state = Mutex(State(top: empty))
    }

    /// The current list; never waits for Redis or the store.
    package var top: TopProducts { state.withLock { $0.top } }

    /// When ``refresh(sharing:)`` succeeded last; nil before the first time.
    var lastRefresh: Instant? { state.withLock { $0.refreshedAt } }

    /// Computes the union of the three days in Redis, unless nothing has come in since the last one, and publishes the result.
    ///
    /// - Parameter age: a union that any service computed less than this ago is used again, even if sales or views have come in since.
    package func refresh(sharing age: Duration = .zero) async throws {
        let window = calendar.rankingWindow(endingOn: calendar.day(of: clock.now))
        let keys =
            [RedisKeys.top] + window.map(RedisKeys.sales) + window.map(RedisKeys.views)
            + [RedisKeys.applied, RedisKeys.rankingResult, RedisKeys.rankingUnchanged]
        let reply = try await redis.evaluate(
            Scripts.rankProducts, keys: keys.map { .string($0) },
            arguments: [
                .integer(Int64(Self.places)), .integer(Self.unionSeconds), .integer(Self.depth), .integer(Int64(age / .milliseconds(1))),
            ])
        guard let elements = reply.array, elements.count % 3 == 1, let milliseconds = elements[0].integer else {
            throw ServiceError(.internal, "rank_products gave a reply that its header does not describe")
        }
        let order = stride(from: 1, to: elements.count, by: 3).map { index in
            (product: ProductID(elements[index].integer ?? 0), units: elements[index + 1].integer ?? 0)
        }
        try await publish(order, window: window, asOf: Instant(milliseconds: milliseconds))
        let now = clock.now
        state.withLock { $0.refreshedAt = now }
    }

    /// Reads names, prices and stock of the listed products from the store again, without asking Redis.
    package func refreshDetails() async throws {
        let (order, top) = state.withLock { ($0.order, $0.top) }
        try await publish(order, window: top.window, asOf: top.asOf, inPlaceOf: top.version)
    }

    /// Publishes a result with the products' present details.
    ///
    /// - Parameter version: the only version that may be replaced; `nil` replaces any.
    private func publish(
        _ order: [(product: ProductID, units: Int64)], window: [BusinessDay], asOf: Instant, inPlaceOf version: UInt64? = nil
    ) async throws {
        let products = Dictionary(
            try await reader.find(products: order.map(\.product)).row.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let items = order.compactMap { place in products[place.product].map { (product: $0, units: place.units) } }
        state.withLock { state in
            // A newer union was published meanwhile: these details belong to an older one.
            guard version == nil || version == state.top.version else { return }
            state.order = order
            state.top = TopProducts(
                window: window, timeZone: calendar.timeZoneIdentifier, asOf: asOf,
                items: items.enumerated().map {
                    RankedProduct(rank: $0.offset + 1, product: $0.element.product, unitsSold: $0.element.units)
                },
                version: state.top.version + 1)
        }
    }
}

/// The top list at one moment.
package struct TopProducts: Sendable, Equatable {
    /// The business days that count, newest first.
    package let window: [BusinessDay]
    /// The IANA name of the business time zone.
    package let timeZone: String
    /// When the list was computed, by Redis' clock. It counts the sales and views up to that instant.
    package let asOf: Instant
    package let items: [RankedProduct]
    /// Rises whenever the list may have changed. A rendered answer of the same version is still correct.
    package let version: UInt64

    package var windowFrom: BusinessDay { window.last ?? windowTo }
    package var windowTo: BusinessDay { window.first ?? BusinessDay(number: 0) }
}

/// One place of the top list.
package struct RankedProduct: Sendable, Equatable {
    /// 1 for the best.
    package let rank: Int
    package let product: Product
    /// Units paid less units refunded in the window.
    package let unitsSold: Int64
}
