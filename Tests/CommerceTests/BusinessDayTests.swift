import Commerce
import Foundation
import TestSupport
import Testing

@Suite("Business days", .serialized)
struct BusinessDayTests {
    @Test(
        "a day begins and ends to the millisecond at local midnight, also where a clock change makes it 23 or 25 hours long",
        arguments: [
            ("Asia/Seoul", "2026-11-20", "2026-11-19T15:00:00.000Z", 24), ("UTC", "2026-11-20", "2026-11-20T00:00:00.000Z", 24),
            ("America/New_York", "2026-11-20", "2026-11-20T05:00:00.000Z", 24),
            ("America/New_York", "2026-03-08", "2026-03-08T05:00:00.000Z", 23),
            ("America/New_York", "2026-03-09", "2026-03-09T04:00:00.000Z", 24),
            ("America/New_York", "2026-11-01", "2026-11-01T04:00:00.000Z", 25),
            ("Asia/Kolkata", "2026-01-01", "2025-12-31T18:30:00.000Z", 24),
            ("Pacific/Kiritimati", "2026-01-01", "2025-12-31T10:00:00.000Z", 24),
            // Midnight itself is skipped: the day begins at 01:00.
            ("America/Santiago", "2025-09-07", "2025-09-07T04:00:00.000Z", 23),
        ])
    func edges(zone: String, day: String, start: String, hours: Int64) throws {
        let calendar = try #require(BusinessCalendar(timeZoneIdentifier: zone))
        let day = try #require(BusinessDay(day))
        let first = try #require(Instant(rfc3339: start))
        #expect(calendar.start(of: day) == first)
        #expect(calendar.day(of: first) == day)
        #expect(calendar.day(of: Instant(milliseconds: first.milliseconds - 1)) == day.advanced(byDays: -1))
        let next = Instant(milliseconds: first.milliseconds + hours * 3_600_000)
        #expect(calendar.start(of: day.advanced(byDays: 1)) == next)
        #expect(calendar.day(of: Instant(milliseconds: next.milliseconds - 1)) == day)
        #expect(calendar.day(of: next) == day.advanced(byDays: 1))
    }

    @Test("days agree with Foundation's calendar at any time in any of the zones", arguments: ["Asia/Seoul", "UTC", "America/New_York"])
    func againstFoundation(zone: String) throws {
        let calendar = try #require(BusinessCalendar(timeZoneIdentifier: zone))
        var foundation = Calendar(identifier: .gregorian)
        foundation.timeZone = try #require(TimeZone(identifier: zone))
        var random = SeededGenerator()
        for _ in 0..<1_000 {
            let seconds = Int64.random(in: 0...4_102_444_800, using: &random)
            let parts = foundation.dateComponents([.year, .month, .day], from: Date(timeIntervalSince1970: Double(seconds)))
            let day = calendar.day(of: Instant(milliseconds: seconds * 1000 + 999))
            let text = String(format: "%04d-%02d-%02d", parts.year ?? 0, parts.month ?? 0, parts.day ?? 0)
            #expect(day.description == text, "\(random): \(seconds)")
            #expect(
                calendar.start(of: day).milliseconds / 1000
                    == Int64(foundation.startOfDay(for: Date(timeIntervalSince1970: Double(seconds))).timeIntervalSince1970))
        }
    }

    @Test("the machine's own zone decides nothing", arguments: ["UTC", "Asia/Seoul", "America/New_York", "Pacific/Kiritimati"])
    func machineZone(own: String) throws {
        let before = ProcessInfo.processInfo.environment["TZ"]
        setenv("TZ", own, 1)
        tzset()
        NSTimeZone.resetSystemTimeZone()
        defer {
            if let before { setenv("TZ", before, 1) } else { unsetenv("TZ") }
            tzset()
            NSTimeZone.resetSystemTimeZone()
        }
        let calendar = try #require(BusinessCalendar(timeZoneIdentifier: "Asia/Seoul"))
        #expect(calendar.day(of: try #require(Instant(rfc3339: "2026-11-20T14:59:59.999Z"))).description == "2026-11-20")
        #expect(calendar.day(of: try #require(Instant(rfc3339: "2026-11-20T15:00:00.000Z"))).description == "2026-11-21")
        #expect(calendar.start(of: try #require(BusinessDay("2026-11-21"))).description == "2026-11-20T15:00:00.000Z")
    }

    @Test("the ranking's window is today and the two days before, and no fourth day")
    func window() throws {
        let calendar = try #require(BusinessCalendar(timeZoneIdentifier: "Asia/Seoul"))
        let today = try #require(BusinessDay("2026-03-01"))
        #expect(calendar.rankingWindow(endingOn: today).map(\.description) == ["2026-03-01", "2026-02-28", "2026-02-27"])
    }

    @Test("a day is read as it is written", arguments: ["1970-01-01", "2000-02-29", "2026-11-20", "9999-12-31"])
    func readAndWritten(text: String) throws {
        #expect(try #require(BusinessDay(text)).description == text)
    }

    @Test(
        "what is no day is nil",
        arguments: ["", "2026-11-2", "2026-11-200", "2026-02-29", "2026-1-120", "20261120", "2026/11/20", "2026-11-20T", "1969-12-31"])
    func refused(text: String) {
        #expect(BusinessDay(text) == nil)
    }

    @Test("an unknown zone is no calendar")
    func unknownZone() {
        #expect(BusinessCalendar(timeZoneIdentifier: "Asia/Atlantis") == nil)
        #expect(BusinessCalendar(timeZoneIdentifier: "Asia/Seoul")?.timeZoneIdentifier == "Asia/Seoul")
    }
}
