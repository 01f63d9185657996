/// The id of one kind of entity: a positive integer that cannot be mixed up with the id of another kind.
package struct Identifier<Entity>: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: Int64

    package init(_ rawValue: Int64) {
        self.rawValue = rawValue
    }

    package var description: String { String(rawValue) }

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The id of a user; users count up from 1 without a gap and are never deleted.
package typealias UserID = Identifier<User>
/// The id of a product.
package typealias ProductID = Identifier<Product>
/// The id of a coupon campaign.
package typealias CouponID = Identifier<Campaign>
/// The id of one coupon issued to one user.
package typealias IssuedCouponID = Identifier<IssuedCoupon>
/// The id of an order.
package typealias OrderID = Identifier<Order>
/// The id of a payment.
package typealias PaymentID = Identifier<Payment>
/// The id of a refund.
package typealias RefundID = Identifier<Refund>
/// The id of a balance charge.
package typealias ChargeID = Identifier<Charge>
/// The id of one movement of a user's balance.
package typealias EntryID = Identifier<BalanceEntry>
/// The id of an outbox event. The ids of one order's events rise in the order of their commits.
package typealias EventID = Identifier<OrderEvent>
/// The place of an outbox event in the order of all commits, which rises by 1: whoever sees an event also sees those at earlier places.
///
/// In a store in a file it is the event's id. On a server an event with a smaller id may be committed after one with a greater id.
package typealias EventPlace = Identifier<CommittedEvent>

/// What an ``EventPlace`` counts.
package enum CommittedEvent {}
