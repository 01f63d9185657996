import Foundation
import TestSupport
import Testing

@testable import Commerce

@Suite("Civil dates")
struct CivilDateTests {
    @Test("days and dates agree with Foundation's Gregorian calendar")
    func againstFoundation() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(secondsFromGMT: 0))
        var random = SeededGenerator()
        // 1600 to 9999: Foundation's calendar is Julian before October 1582.
        for day in (0..<3_000).map({ _ in Int64.random(in: -135_140...2_932_896, using: &random) }) {
            let parts = calendar.dateComponents([.year, .month, .day], from: Date(timeIntervalSince1970: Double(day) * 86_400))
            let date = CivilDate(daysSinceEpoch: day)
            #expect(date.year == parts.year && date.month == parts.month && date.day == parts.day, "\(random): day \(day)")
            #expect(date.daysSinceEpoch == day, "\(random): day \(day)")
            #expect(CivilDate(year: date.year, month: date.month, day: date.day) == date)
        }
    }

    @Test("every day from 1970 to 2100 follows the one before it")
    func consecutive() {
        var previous = CivilDate(daysSinceEpoch: -1)
        #expect((previous.year, previous.month, previous.day) == (1969, 12, 31))
        for day in Int64(0)...47_846 {
            let date = CivilDate(daysSinceEpoch: day)
            let isNext =
                date.day == previous.day + 1 && date.month == previous.month && date.year == previous.year
                || date.day == 1
                    && (date.month == previous.month + 1 && date.year == previous.year || date.month == 1 && date.year == previous.year + 1)
            #expect(isNext, "day \(day)")
            previous = date
        }
        #expect((previous.year, previous.month, previous.day) == (2100, 12, 31))
    }

    @Test(
        "a date that does not exist is nil",
        arguments: [
            (2026, 2, 29), (2100, 2, 29), (2024, 2, 30), (2026, 4, 31), (2026, 0, 1), (2026, 13, 1), (2026, 1, 0), (2026, 1, 32),
            (2026, 1, -1),
        ])
    func missing(year: Int, month: Int, day: Int) {
        #expect(CivilDate(year: year, month: month, day: day) == nil)
    }

    @Test("leap days exist in the years that have one", arguments: [1972, 2000, 2024, 2096, 2104, 2400])
    func leapDays(year: Int) {
        #expect(CivilDate(year: year, month: 2, day: 29) != nil)
    }

    @Test(
        "division floors towards minus infinity",
        arguments: [(7, 3, 2, 1), (-7, 3, -3, 2), (-1, 86_400, -1, 86_399), (-6, 3, -2, 0), (0, 5, 0, 0)])
    func flooring(value: Int64, divisor: Int64, quotient: Int64, remainder: Int64) {
        #expect(value.flooringDivision(by: divisor) == (quotient, remainder))
    }
}
