/// The number a customer sees: business day, then that day's counter, as in `20261120-000123`.
package struct OrderNumber: Hashable, Sendable, CustomStringConvertible {
    package let day: BusinessDay
    /// Counts up from 1 each day; at least six digits are shown, more where a day needs them.
    package let counter: Int64

    package init(day: BusinessDay, counter: Int64) {
        (self.day, self.counter) = (day, counter)
    }

    package var description: String {
        let digits = String(counter)
        return day.description.filter { $0 != "-" } + "-" + String(repeating: "0", count: max(0, 6 - digits.utf8.count)) + digits
    }
}
