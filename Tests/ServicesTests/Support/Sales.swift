import Commerce
import Redis
import Store
import TestSupport
import Testing

@testable import Services

/// What was sold, kept the plain way: the oracle for day scores.
struct SalesLedger {
    private(set) var units: [BusinessDay: [ProductID: Int64]] = [:]

    mutating func add(_ product: ProductID, _ count: Int64, on day: BusinessDay) {
        units[day, default: [:]][product, default: 0] += count
    }

    /// What a day's key must hold; products that come to nothing are not in it.
    func scores(on day: BusinessDay) -> [ProductID: Int64] { units[day, default: [:]].filter { $0.value != 0 } }

    /// Who leads over some days: units first, then the newer product.
    func leaders(over days: [BusinessDay]) -> [ProductID] {
        var sums: [ProductID: Int64] = [:]
        for day in days { sums.merge(units[day, default: [:]]) { $0 + $1 } }
        return sums.filter { $0.value > 0 }.sorted { ($0.value, $0.key) > ($1.value, $1.key) }.map(\.key)
    }
}

extension Shop {
    var rebuild: SalesRebuild {
        SalesRebuild(store: store, redis: redis, calendar: calendar, clock: services.configuration.clock, logger: Self.logger)
    }

    /// A relay that knows nothing yet, as after a restart.
    func makeRelay() throws -> SalesRelay {
        SalesRelay(
            store: store, reader: reader, redis: redis, rebuild: rebuild, calendar: calendar, clock: services.configuration.clock,
            logger: Self.logger)
    }

    /// The business day so many days before today.
    func day(ago days: Int64) -> BusinessDay { calendar.day(of: clock.now).advanced(byDays: -days) }

    /// Some instant of that day, at least a minute from its edges.
    func instant(on day: BusinessDay) -> Instant {
        Instant(milliseconds: calendar.start(of: day).milliseconds + 60_000)
    }

    func sell(_ items: [(ProductID, Int64)], to user: UserID, on day: BusinessDay) async throws -> Payment {
        let items = items.map { RequestedItem(productID: $0.0, quantity: $0.1) }
        return try await store.checkout(userID: user, items: items, issuedCouponID: nil, in: .at(instant(on: day))).value.payment
    }

    func scores(on day: BusinessDay) async throws -> [ProductID: Int64] {
        let reply = try await redis.send(RedisCommand("ZRANGE", .string(RedisKeys.sales(on: day)), 0, -1, "WITHSCORES"))
        let elements = try #require(reply.array)
        var scores: [ProductID: Int64] = [:]
        for index in stride(from: 0, to: elements.count, by: 2) {
            scores[ProductID(try #require(elements[index].integer))] = elements[index + 1].integer
        }
        return scores
    }

    func offset() async throws -> Int64? {
        try await redis.send(RedisCommand("GET", .string(RedisKeys.applied))).integer
    }

    func expectScores(_ ledger: SalesLedger, _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        for day in RankingDays.all(until: calendar.day(of: clock.now)) {
            #expect(try await scores(on: day) == ledger.scores(on: day), comment, sourceLocation: sourceLocation)
        }
        #expect(try await offset() == store.lastEventID().rawValue, comment, sourceLocation: sourceLocation)
    }
}
