import Commerce
import Foundation
import JSON
import TestSupport
import Testing

/// Sales as a test made them, and the top list counted from them the plain way.
private struct SalesBook {
    struct Sale {
        let product: Int64
        let units: Int64
        /// Midnight to midnight on the wall calendar of the business zone, as `2026-11-20`.
        let day: String
    }

    private struct Place {
        let product: Int64
        let units: Int64
        let views: Int
    }

    var sales: [Sale] = []
    var views: [(product: Int64, day: String)] = []

    /// Units of the three days, then views of the three days, then the newer product; nothing that sold nothing.
    func top(_ window: [String]) -> [[Int64]] {
        var places: [Place] = []
        for product in Set(sales.map(\.product)) {
            let units = sales.filter { $0.product == product && window.contains($0.day) }.reduce(0) { $0 + $1.units }
            let views = self.views.filter { $0.product == product && window.contains($0.day) }.count
            if units > 0 { places.append(Place(product: product, units: units, views: views)) }
        }
        places.sort { ($0.units, $0.views, $0.product) > ($1.units, $1.views, $1.product) }
        return places.prefix(5).map { [$0.product, $0.units] }
    }
}

extension EndToEnd {
    @Suite("The top products of three business days", .everyEngine)
    struct TopProductsTests {}
}

extension EndToEnd.TopProductsTests {
    private static let zones = ["Asia/Seoul", "UTC", "America/New_York"]

    private static func timeZone(_ identifier: String) throws -> TimeZone {
        guard let zone = TimeZone(identifier: identifier) else { throw LiveService.UnknownTimeZone(identifier: identifier) }
        return zone
    }

    private static func day(_ instant: Instant, in zone: String) throws -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = try timeZone(zone)
        formatter.dateFormat = "yyyy-MM-dd"
        return formatter.string(from: Date(timeIntervalSince1970: Double(instant.milliseconds / 1_000)))
    }

    private static func window(endingAt now: Instant, in zone: String) throws -> [String] {
        // Noon to noon: a change of the clocks moves it by an hour, never over a midnight.
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try timeZone(zone)
        let noon = try #require(
            calendar.date(bySettingHour: 12, minute: 0, second: 0, of: Date(timeIntervalSince1970: Double(now.milliseconds / 1_000))))
        return try (0..<3).map { back in
            let day = try #require(calendar.date(byAdding: .day, value: -back, to: noon))
            return try Self.day(Instant(milliseconds: Int64(day.timeIntervalSince1970) * 1_000), in: zone)
        }
    }

    private static func places(_ live: LiveService) async throws -> [[Int64]] {
        try await live.guest.get("/products/top").expect(200).items().compactMap { item in
            guard let product = item["productId"]?.int, let units = item["unitsSold"]?.int else { return nil }
            return [product, units]
        }
    }

    /// Waits for the list to be what is expected, and shows what it is instead where it never becomes so.
    private static func expect(_ expected: [[Int64]], _ live: LiveService, _ comment: Comment) async throws {
        var places: [[Int64]] = []
        do {
            try await eventually("the top list is up to date") {
                places = try await Self.places(live)
                return places == expected
            }
        } catch is NotInTime {
            #expect(places == expected, comment)
        }
    }

    /// Midnight of a day in the zone.
    private static func midnight(_ year: Int, _ month: Int, _ day: Int, in zone: String) throws -> Instant {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try timeZone(zone)
        let date = try #require(calendar.date(from: DateComponents(year: year, month: month, day: day)))
        return Instant(milliseconds: Int64(date.timeIntervalSince1970) * 1_000)
    }

    @Test("sales of the window's first and last millisecond count, those a millisecond before do not", arguments: zones)
    func edges(zone: String) async throws {
        // New York's clocks go back on 2090-11-05, which has 25 hours. Far in the future: Redis drops day keys by the real time.
        let first = try Self.midnight(2090, 11, 4, in: zone)
        let last = Instant(milliseconds: try Self.midnight(2090, 11, 7, in: zone).milliseconds - 1)
        var setup = LiveService.Setup()
        setup.timeZone = zone
        setup.standingClock = Instant(milliseconds: first.milliseconds - 1)
        try await LiveService.run(setup) { live in
            var products: [Int64] = []
            for _ in 0..<4 { products.append(try await live.admin.makeProduct(price: 1_000)) }
            let user = try await live.newUser(balance: 100_000)
            _ = try await user.checkout(products[0], 9).expect(201)
            try await Self.expect([[products[0], 9]], live, "today's own sale")
            live.clock.stop(at: first)
            _ = try await user.checkout(products[1], 3).expect(201)
            live.clock.stop(at: last)
            let paid = try await user.checkout(products[2], 2).expect(201)
            try await Self.expect([[products[1], 3], [products[2], 2]], live, "the millisecond before the window is out")
            let top = try await live.guest.get("/products/top").expect(200)
            #expect(try top.string("window", "from") == "2090-11-04" && top.string("window", "to") == "2090-11-06")
            #expect(try top.string("window", "timeZone") == zone)
            #expect(try paid.string("order", "orderNumber").hasPrefix("20901106-"))

            live.clock.stop(at: Instant(milliseconds: last.milliseconds + 1))
            _ = try await user.checkout(products[3], 1).expect(201)
            try await Self.expect([[products[2], 2], [products[3], 1]], live, "a millisecond later the first day is out")
        }
    }

    @Test("sales, refunds and views of many days give the same list as counting them", arguments: zip(zones, [UInt64(1), 2, 3]))
    func oracle(zone: String, seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        var setup = LiveService.Setup()
        setup.timeZone = zone
        // New York's clocks go forward on 2090-03-12.
        setup.standingClock = try Self.midnight(2090, 3, 9, in: zone)
        try await LiveService.run(setup) { live in
            var (book, products, payments): (SalesBook, [Int64], [(id: Int64, sale: SalesBook.Sale)]) = (SalesBook(), [], [])
            for _ in 0..<11 { products.append(try await live.admin.makeProduct(price: 1_000, stock: 10_000)) }
            let user = try await live.newUser(balance: 10_000_000)
            for dayNumber in 0..<6 {
                let now = Instant(milliseconds: live.clock.now.milliseconds + 86_400_000 - Int64.random(in: 0..<3_600_000, using: &random))
                live.clock.stop(at: now)
                let today = try Self.day(now, in: zone)
                for _ in 0..<12 {
                    let (product, units) = (products.randomElement(using: &random) ?? 0, Int64.random(in: 1...3, using: &random))
                    switch Int.random(in: 0..<4, using: &random) {
                    case 0:
                        _ = try await live.guest.get("/products/\(product)").expect(200)
                        book.views.append((product, today))
                    case 1 where !payments.isEmpty:
                        let payment = payments.remove(at: Int.random(in: payments.indices, using: &random))
                        _ = try await live.admin.refund(payment.id).expect(201)
                        book.sales.append(.init(product: payment.sale.product, units: -payment.sale.units, day: payment.sale.day))
                    default:
                        let paid = try await user.checkout(product, units).expect(201)
                        let sale = SalesBook.Sale(product: product, units: units, day: today)
                        book.sales.append(sale)
                        payments.append((try paid.int("payment", "paymentId"), sale))
                    }
                }
                let window = try Self.window(endingAt: now, in: zone)
                try await Self.expect(book.top(window), live, "seed \(seed), day \(dayNumber), \(window)")
            }
        }
    }

    @Test("ties go to more views, then to the newer product, at the last place too; and 10 is newer than 9")
    func ties() async throws {
        try await LiveService.run { live in
            var products: [Int64] = []
            for _ in 0..<12 { products.append(try await live.admin.makeProduct(price: 1_000)) }
            let user = try await live.newUser(balance: 1_000_000)
            for product in products[3...] { _ = try await user.checkout(product, 2).expect(201) }
            try await Self.expect(products[7...].reversed().map { [$0, 2] }, live, "newest first")
            for _ in 0..<2 { _ = try await live.guest.get("/products/\(products[3])").expect(200) }
            _ = try await live.guest.get("/products/\(products[8])").expect(200)
            let expected = [products[3], products[8], products[11], products[10], products[9]].map { [$0, 2] }
            try await Self.expect(expected, live, "views first")
        }
    }

    @Test("a refund takes its units from the day of the sale, not from the day of the refund")
    func refundDay() async throws {
        var setup = LiveService.Setup()
        let start = try Self.midnight(2090, 11, 20, in: "Asia/Seoul")
        setup.standingClock = start
        try await LiveService.run(setup) { live in
            let product = try await live.admin.makeProduct(price: 1_000)
            let user = try await live.newUser(balance: 100_000)
            let old = try await user.checkout(product, 5).expect(201).int("payment", "paymentId")
            live.clock.stop(at: Instant(milliseconds: start.milliseconds + 3 * 86_400_000))
            _ = try await user.checkout(product, 4).expect(201)
            _ = try await live.admin.refund(old, product, 2).expect(201)
            try await Self.expect([[product, 4]], live, "the refund belongs to a day outside the window")
            try await eventually("the refund is counted") { try await live.sortedSet("ranking:{sales}:2090-11-20").map(\.score) == [3] }
            #expect(try await live.sortedSet("ranking:{sales}:2090-11-23").map(\.score) == [4])
        }
    }
}
