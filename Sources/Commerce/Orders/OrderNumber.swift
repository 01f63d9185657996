/// The number a customer sees: business day, then that day's counter, as in `20261120-000123`.
package struct OrderNumber: Hashable, Sendable, CustomStringConvertible {
    package let day: BusinessDay
    /// Counts up from 1 each day; at least six digits are shown, more where a day needs them.
    package let counter: Int64

    package init(day: BusinessDay, counter: Int64) {
        (self.day, self.counter) = (day, counter)
    }

    package var description: String {
        let date = CivilDate(daysSinceEpoch: day.number)
        var (digits, limit): (Int, Int64) = (6, 1_000_000)
        while digits < 18, counter >= limit { (digits, limit) = (digits + 1, limit * 10) }
        return String(unsafeUninitializedCapacity: 9 + digits) { bytes in
            bytes.put(Int64(date.year), digits: 4, at: 0)
            bytes.put(Int64(date.month), digits: 2, at: 4)
            bytes.put(Int64(date.day), digits: 2, at: 6)
            bytes[8] = UInt8(ascii: "-")
            bytes.put(counter, digits: digits, at: 9)
            return 9 + digits
        }
    }
}
