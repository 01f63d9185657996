/// An amount of money in whole won (KRW has no decimals). Arithmetic is checked: a result beyond `Int64` is `nil`.
package struct Won: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: Int64

    package init(_ rawValue: Int64) {
        self.rawValue = rawValue
    }

    package static let zero = Won(0)

    package var description: String { String(rawValue) }

    package static func < (left: Won, right: Won) -> Bool { left.rawValue < right.rawValue }

    /// The sum, or `nil` when it leaves `Int64`.
    package func adding(_ other: Won) -> Won? {
        let (sum, overflow) = rawValue.addingReportingOverflow(other.rawValue)
        return overflow ? nil : Won(sum)
    }

    /// The difference, or `nil` when it leaves `Int64`.
    package func subtracting(_ other: Won) -> Won? {
        let (difference, overflow) = rawValue.subtractingReportingOverflow(other.rawValue)
        return overflow ? nil : Won(difference)
    }

    /// This unit price times a quantity, or `nil` when it leaves `Int64`.
    package func multiplied(by quantity: Int64) -> Won? {
        let (product, overflow) = rawValue.multipliedReportingOverflow(by: quantity)
        return overflow ? nil : Won(product)
    }

    /// This amount times `part / whole`, rounded down to a won, computed in 128 bits so that it never overflows.
    ///
    /// Requires `0 <= part <= whole`, `whole > 0` and a non-negative amount; the result then lies in `0...self`.
    package func share(_ part: Int64, of whole: Int64) -> Won {
        precondition(whole > 0 && part >= 0 && part <= whole && rawValue >= 0, "a share is a part of a positive whole")
        let product = rawValue.multipliedFullWidth(by: part)
        return Won(whole.dividingFullWidth(product).quotient)
    }
}
