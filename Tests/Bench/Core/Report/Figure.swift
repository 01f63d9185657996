import Foundation

/// Formats numbers for tables.
package enum Figure {
    /// Without decimals, with a comma before each group of three digits.
    package static func count(_ value: Double) -> String {
        var digits = Array(String(Int(value.rounded())))
        var index = digits.count - 3
        while index > 0 && digits[index - 1] != "-" {
            digits.insert(",", at: index)
            index -= 3
        }
        return String(digits)
    }

    /// Three significant digits, or all digits before the point if there are more.
    package static func short(_ value: Double) -> String {
        let decimals = abs(value) >= 100 ? 0 : abs(value) >= 10 ? 1 : 2
        return String(format: "%.\(decimals)f", value)
    }

    /// Microseconds as milliseconds.
    package static func milliseconds(_ microseconds: Double) -> String { short(microseconds / 1000) }

    /// The median, with the least and the greatest in parentheses; empty for no values.
    static func spread(_ spread: Spread?, _ number: (Double) -> String) -> String {
        guard let spread else { return "" }
        return "\(number(spread.median)) (\(number(spread.least))..\(number(spread.greatest)))"
    }

    package static func megabytes(_ bytes: Int64) -> String { short(Double(bytes) / 1_048_576) + " MB" }
}
