/// The business limits that an operator may set, with their defaults.
package struct Policy: Sendable {
    /// The least and the most one charge may add.
    package var chargeAmounts: ClosedRange<Won>
    /// The most a balance may reach by charging.
    package var balanceLimit: Won
    /// How long a pending order holds stock and coupon, in milliseconds.
    package var orderHoldMilliseconds: Int64

    package init(
        chargeAmounts: ClosedRange<Won> = Won(1_000)...Won(1_000_000), balanceLimit: Won = Won(10_000_000),
        orderHoldMilliseconds: Int64 = 15 * 60 * 1000
    ) {
        self.chargeAmounts = chargeAmounts
        self.balanceLimit = balanceLimit
        self.orderHoldMilliseconds = orderHoldMilliseconds
    }
}

/// The bounds of single values: far above those of any real shop, and far below values whose sums could overflow unnoticed.
package enum Bounds {
    /// One trillion won.
    package static let price: ClosedRange<Int64> = 1...1_000_000_000_000
    package static let stock: ClosedRange<Int64> = 0...1_000_000_000
    package static let couponQuantity: ClosedRange<Int64> = 1...100_000_000
    package static let orderLineQuantity: ClosedRange<Int64> = 1...1_000_000
    package static let orderLines = 1...100
    /// Ten years, in seconds.
    package static let couponValidity: ClosedRange<Int64> = 1...315_360_000
    /// Thirty days, in seconds.
    package static let defaultCouponValidity: Int64 = 30 * 86_400
}
