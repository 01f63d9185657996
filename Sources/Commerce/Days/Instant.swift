/// A point in time: milliseconds since 1970-01-01T00:00:00Z, the precision of the API and of Redis' fields.
package struct Instant: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let milliseconds: Int64

    package init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    package static func < (left: Instant, right: Instant) -> Bool { left.milliseconds < right.milliseconds }

    /// This instant moved by a number of milliseconds; `nil` outside the years 1970 to 9999.
    package func advanced(byMilliseconds offset: Int64) -> Instant? {
        let (sum, overflow) = milliseconds.addingReportingOverflow(offset)
        guard !overflow, Self.representable.contains(sum) else { return nil }
        return Instant(milliseconds: sum)
    }

    /// The milliseconds of the years 1970 to 9999; RFC 3339 has four digits for a year.
    package static let representable: ClosedRange<Int64> = 0...253_402_300_799_999

    /// RFC 3339 in UTC with milliseconds: `2026-11-20T03:04:05.678Z`.
    package var description: String {
        String(unsafeUninitializedCapacity: 24) { bytes in
            write(into: bytes)
            return 24
        }
    }

    /// Writes the 24 ASCII bytes of ``description`` to the start of `bytes`.
    package func write(into bytes: UnsafeMutableBufferPointer<UInt8>) {
        let (days, millisecondsOfDay) = milliseconds.flooringDivision(by: 86_400_000)
        let date = CivilDate(daysSinceEpoch: days)
        let seconds = millisecondsOfDay / 1000
        func put(_ value: Int64, _ width: Int, at offset: Int) { bytes.put(value, digits: width, at: offset) }
        put(Int64(date.year), 4, at: 0)
        bytes[4] = UInt8(ascii: "-")
        put(Int64(date.month), 2, at: 5)
        bytes[7] = UInt8(ascii: "-")
        put(Int64(date.day), 2, at: 8)
        bytes[10] = UInt8(ascii: "T")
        put(seconds / 3600, 2, at: 11)
        bytes[13] = UInt8(ascii: ":")
        put(seconds / 60 % 60, 2, at: 14)
        bytes[16] = UInt8(ascii: ":")
        put(seconds % 60, 2, at: 17)
        bytes[19] = UInt8(ascii: ".")
        put(millisecondsOfDay % 1000, 3, at: 20)
        bytes[23] = UInt8(ascii: "Z")
    }
}

extension Instant {
    /// Reads an RFC 3339 date-time with any offset and fraction (cut to milliseconds); `nil` for anything else.
    ///
    /// Years 1970 to 9999. A leap second (`:60`) is refused: no clock of this service can show one.
    package init?(rfc3339 text: String) {
        var reader = DigitReader(bytes: Array(text.utf8))
        guard let year = reader.number(4), reader.take("-"), let month = reader.number(2), reader.take("-"), let day = reader.number(2),
            reader.take("T") || reader.take("t") || reader.take(" "),
            let hour = reader.number(2), reader.take(":"), let minute = reader.number(2), reader.take(":"), let second = reader.number(2),
            hour < 24, minute < 60, second < 60,
            let date = CivilDate(year: year, month: month, day: day),
            let fraction = reader.fractionInMilliseconds(),
            let offset = reader.offsetInMinutes(), reader.isAtEnd
        else { return nil }
        let minutes = Int64(date.daysSinceEpoch) * 1440 + Int64(hour * 60 + minute - offset)
        let value = (minutes * 60 + Int64(second)) * 1000 + Int64(fraction)
        guard Self.representable.contains(value) else { return nil }
        self.init(milliseconds: value)
    }
}

/// Reads the fixed-width fields of RFC 3339 from ASCII bytes.
private struct DigitReader {
    let bytes: [UInt8]
    var position = 0

    var isAtEnd: Bool { position == bytes.count }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    mutating func digit() -> Int? {
        guard position < bytes.count, (48...57).contains(bytes[position]) else { return nil }
        position += 1
        return Int(bytes[position - 1] - 48)
    }

    mutating func number(_ width: Int) -> Int? {
        var value = 0
        for _ in 0..<width {
            guard let digit = digit() else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    /// 0 without a fraction; `nil` for a dot without digits.
    mutating func fractionInMilliseconds() -> Int? {
        guard take(".") else { return 0 }
        guard var value = digit() else { return nil }
        var width = 1
        while let digit = digit() {
            if width < 3 { value = value * 10 + digit }
            width += 1
        }
        while width < 3 {
            value *= 10
            width += 1
        }
        return value
    }

    mutating func offsetInMinutes() -> Int? {
        if take("Z") || take("z") { return 0 }
        let sign = take("+") ? 1 : take("-") ? -1 : 0
        guard sign != 0, let hours = number(2), take(":"), let minutes = number(2), hours < 24, minutes < 60 else { return nil }
        return sign * (hours * 60 + minutes)
    }
}

extension Int64 {
    /// Quotient and remainder with the remainder always in `0..<divisor`.
    func flooringDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

extension UnsafeMutableBufferPointer<UInt8> {
    /// Writes the last decimal digits of a non-negative number.
    func put(_ value: Int64, digits: Int, at offset: Int) {
        var rest = value
        for index in stride(from: offset + digits - 1, through: offset, by: -1) {
            self[index] = UInt8(truncatingIfNeeded: 48 + rest % 10)
            rest /= 10
        }
    }
}
