/// How many requests a client may make: so many in a period, and so many at once.
///
/// It is a token bucket, kept as the instant at which the bucket will be full again (the generic cell rate algorithm): one number per
/// client, integers alone, and nothing to do while a client is idle.
package struct RateLimit: Sendable, Hashable {
    /// Nanoseconds in which a bucket gains one token. Rounded up to whole microseconds, which are the unit in Redis, so that no client gets
    /// more than was stated: at most 1 % less at 10,000 requests a second, and exactly the rate wherever it divides a million.
    package let interval: Int64
    /// The tokens of a full bucket: how many requests may come at once.
    package let burst: Int64

    /// Nanoseconds in which an empty bucket becomes full.
    package var window: Int64 { interval * burst }

    /// The greatest rate, in requests a second.
    package static let maximumPerSecond: Int64 = 10_000
    package static let maximumBurst: Int64 = 1_000_000
    /// The longest time in which an empty bucket may become full: a day.
    package static let maximumWindow: Int64 = 86_400 * 1_000_000_000

    /// - Parameters:
    ///   - count: requests in each period.
    ///   - period: nanoseconds.
    ///   - burst: requests at once; `count` where nil.
    package init?(_ count: Int64, per period: Int64, burst: Int64? = nil) {
        let burst = burst ?? count
        guard count >= 1, period >= 1, count <= Self.maximumBurst, (1...Self.maximumBurst).contains(burst) else { return nil }
        let microseconds = (period + count * 1_000 - 1) / (count * 1_000)
        let (window, overflow) = (microseconds * 1_000).multipliedReportingOverflow(by: burst)
        guard count * 1_000_000_000 <= Self.maximumPerSecond * period, !overflow, window <= Self.maximumWindow else { return nil }
        interval = microseconds * 1_000
        self.burst = burst
    }

    private static let periods: [Substring: Int64] = ["s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000]

    /// Reads `20/s` or `600/m:50`: requests in a second, a minute or an hour, and how many of them may come at once.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let rate = parts[0].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard rate.count == 2, let count = Self.number(rate[0]), let period = Self.periods[rate[1]] else { return nil }
        guard parts.count == 2 else {
            self.init(count, per: period)
            return
        }
        guard let burst = Self.number(parts[1]) else { return nil }
        self.init(count, per: period, burst: burst)
    }

    private static func number(_ text: Substring) -> Int64? {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int64(text) : nil
    }

    /// A bucket after a request was charged to it, or refused.
    package struct Level: Sendable, Equatable {
        package let isRefused: Bool
        /// Requests that may come now.
        package let remaining: Int64
        /// Nanoseconds until one more may come than `remaining`; more than zero.
        package let untilNext: Int64

        /// Whole seconds until then, rounded up: at least 1, and after that time it is true.
        package var secondsUntilNext: Int64 { (untilNext + 999_999_999) / 1_000_000_000 }
    }

    /// The level of a bucket that will be full in so many nanoseconds.
    package func level(untilFull: Int64, isRefused: Bool) -> Level {
        let remaining = max(0, (window - untilFull) / interval)
        return Level(isRefused: isRefused, remaining: remaining, untilNext: max(1, untilFull - window + (remaining + 1) * interval))
    }
}
