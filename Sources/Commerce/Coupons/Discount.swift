/// What a coupon takes off an order.
package enum Discount: Hashable, Sendable {
    /// A fixed amount, never more than the order costs.
    case fixed(amount: Won)
    /// A share of the total in whole percent (1 to 100), rounded down to a won, then cut to `maxAmount` where one is set.
    case percent(Int64, maxAmount: Won?)

    /// The discount on an order's total, in `0...total`.
    package func amount(offTotal total: Won) -> Won {
        switch self {
        case .fixed(let amount):
            return min(amount, total)
        case .percent(let percent, let maxAmount):
            let share = total.share(percent, of: 100)
            return min(share, maxAmount ?? share)
        }
    }
}
