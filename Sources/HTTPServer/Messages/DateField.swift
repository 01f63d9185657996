import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The value of the `Date` field, rendered once per second.
struct DateField {
    private var value = Array("Thu, 01 Jan 1970 00:00:00 GMT".utf8)
    private var validUntil = NIODeadline.distantPast

    /// Bytes of the whole field with its line end.
    static let byteCount = 37

    /// Updates the value to the current second. The wall clock is read only when `now` says that the second has passed.
    mutating func update(_ now: NIODeadline) {
        if now >= validUntil { refresh(now) }
    }

    /// Writes the value into a field that begins at an offset and has room for it.
    func write(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) {
        value.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: bytes[(offset + 6)...]).copyMemory(from: $0) }
    }

    private mutating func refresh(_ now: NIODeadline) {
        var clock = timespec()
        clock_gettime(CLOCK_REALTIME, &clock)
        validUntil = now + .nanoseconds(1_000_000_000 - Int64(clock.tv_nsec))
        value = Array(DateField.format(secondsSinceEpoch: Int(clock.tv_sec)).utf8)
    }

    /// The preferred format of RFC 9110 section 5.6.7, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    static func format(secondsSinceEpoch seconds: Int) -> String {
        let days = seconds / 86_400
        let second = seconds % 86_400
        let (year, month, day) = civil(daysSinceEpoch: days)
        let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days % 7]
        let monthName = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ][month - 1]
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(weekday), \(two(day)) \(monthName) \(year) \(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60)) GMT"
    }

    /// Year, month and day of the proleptic Gregorian calendar; years are counted from March so that a leap day ends its year.
    static func civil(daysSinceEpoch: Int) -> (year: Int, month: Int, day: Int) {
        let days = daysSinceEpoch + 719_468  // from 0000-03-01
        let era = days / 146_097
        let dayOfEra = days % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}
