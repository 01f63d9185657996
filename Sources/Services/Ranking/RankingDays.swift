package import Commerce

/// Which days the ranking keeps in Redis, and until when it keeps them.
package enum RankingDays {
    /// How many days are kept: the three of the window and two more, so that late refunds still find their day and a rebuild around
    /// midnight needs no exact timing.
    package static let kept = 5

    /// The days whose keys may exist in Redis while `today` is the business day, newest first.
    package static func all(until today: BusinessDay) -> [BusinessDay] {
        (0..<Int64(kept)).map { today.advanced(byDays: -$0) }
    }

    /// When the keys of a day expire, in seconds since the epoch: at the end of the last day on which they are kept.
    package static func expirySeconds(of day: BusinessDay, in calendar: BusinessCalendar) -> Int64 {
        calendar.start(of: day.advanced(byDays: Int64(kept))).milliseconds / 1000
    }
}
