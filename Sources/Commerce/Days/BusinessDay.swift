package import Foundation

/// A calendar day in the business time zone, such as `2026-11-20`.
package struct BusinessDay: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Days since 1970-01-01; also how the store keeps a day.
    package let number: Int64

    package init(number: Int64) {
        self.number = number
    }

    /// Reads `2026-11-20`; `nil` for anything else or a day that does not exist.
    package init?(_ text: String) {
        guard text.utf8.count == 10, let midnight = Instant(rfc3339: text + "T00:00:00Z") else { return nil }
        number = midnight.milliseconds / 86_400_000
    }

    /// `2026-11-20`, as in Redis keys and answers.
    package var description: String {
        let date = CivilDate(daysSinceEpoch: number)
        return String(unsafeUninitializedCapacity: 10) { bytes in
            bytes.put(Int64(date.year), digits: 4, at: 0)
            bytes[4] = UInt8(ascii: "-")
            bytes.put(Int64(date.month), digits: 2, at: 5)
            bytes[7] = UInt8(ascii: "-")
            bytes.put(Int64(date.day), digits: 2, at: 8)
            return 10
        }
    }

    package func advanced(byDays days: Int64) -> BusinessDay { BusinessDay(number: number + days) }

    package static func < (left: BusinessDay, right: BusinessDay) -> Bool { left.number < right.number }
}

/// Says which business day an instant belongs to, in one fixed time zone whatever the machine's own zone is.
package struct BusinessCalendar: Sendable {
    package let timeZone: TimeZone
    /// The IANA name of the zone as it was given, such as `Asia/Seoul`: Foundation would call `UTC` by another name, `GMT`.
    package let timeZoneIdentifier: String

    /// `nil` when the system knows no zone of that IANA name.
    package init?(timeZoneIdentifier: String) {
        guard let zone = TimeZone(identifier: timeZoneIdentifier) else { return nil }
        (timeZone, self.timeZoneIdentifier) = (zone, timeZoneIdentifier)
    }

    private init(timeZone: TimeZone, timeZoneIdentifier: String) {
        (self.timeZone, self.timeZoneIdentifier) = (timeZone, timeZoneIdentifier)
    }

    /// The calendar of UTC, which every system knows.
    package static let utc = BusinessCalendar(timeZone: .gmt, timeZoneIdentifier: "UTC")

    /// The business day that contains the instant.
    package func day(of instant: Instant) -> BusinessDay {
        let seconds = instant.milliseconds.flooringDivision(by: 1000).quotient
        let offset = timeZone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds)))
        return BusinessDay(number: (seconds + Int64(offset)).flooringDivision(by: 86_400).quotient)
    }

    /// The first instant of the day: local midnight, or the end of the gap where a clock change skips midnight.
    package func start(of day: BusinessDay) -> Instant {
        // A binary search for the boundary: no zone is more than 15 hours from UTC, and local days never go backwards.
        var before = (day.number * 86_400 - 16 * 3600) * 1000
        var inside = (day.number * 86_400 + 16 * 3600) * 1000
        while inside - before > 1 {
            let middle = before + (inside - before) / 2
            if self.day(of: Instant(milliseconds: middle)) < day { before = middle } else { inside = middle }
        }
        return Instant(milliseconds: inside)
    }

    /// The days whose sales count in the top list of `today`: that day and the two days before, newest first.
    package func rankingWindow(endingOn today: BusinessDay) -> [BusinessDay] {
        (0..<3).map { today.advanced(byDays: -$0) }
    }
}
