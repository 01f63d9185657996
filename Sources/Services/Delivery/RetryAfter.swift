import Commerce

/// Reads the `Retry-After` of an answer (RFC 9110, 10.2.3): seconds, or a date.
enum RetryAfter {
    /// How long to wait; `nil` for what is neither.
    ///
    /// - Parameter now: when the answer was made, by the clock of whoever made it where that is known.
    static func pause(_ text: String, at now: Instant) -> Duration? {
        let text = text.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
        if !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) {
            // A number beyond all bounds is a long pause, and those who ask have a bound of their own.
            return .seconds(text.utf8.count > 9 ? 999_999_999 : Int64(text) ?? 0)
        }
        guard let date = date(text) else { return nil }
        return .milliseconds(max(0, date.milliseconds - now.milliseconds))
    }

    /// An IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`: the one form of date that senders may use (RFC 9110, 5.6.7).
    static func date(_ text: String) -> Instant? {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let month = months.firstIndex(of: String(parts[2])) else { return nil }
        let digits = month < 9 ? "0\(month + 1)" : "\(month + 1)"
        return Instant(rfc3339: "\(parts[3])-\(digits)-\(parts[1])T\(parts[4])Z")
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
}
