/// The sale or a refund of an order. The ranking counts it exactly once; the data platform receives it at least once.
package struct OrderEvent: Sendable, Equatable {
    /// What happened; messages to the data platform carry the raw values.
    package enum Kind: String, Sendable {
        case paid = "ORDER_PAID"
        case refunded = "ORDER_REFUNDED"
    }

    /// The delivery state of the message to the data platform. A parked or delivered event waits again only if it is retried on purpose.
    package enum Delivery: Int64, Sendable {
        case waiting = 0
        case delivered = 1
        case parked = 2
    }

    package let id: EventID
    package let kind: Kind
    package let orderID: OrderID
    package let occurredAt: Instant
    /// The business day of the sale; a refund counts on the day the order was paid.
    package let saleDay: BusinessDay
    /// Units per product, positive for a sale, negative for a refund: what the ranking adds.
    package let units: [ProductUnits]
    /// The JSON document for the data platform, fixed when the event was written.
    package let payload: String

    package init(
        id: EventID, kind: Kind, orderID: OrderID, occurredAt: Instant, saleDay: BusinessDay, units: [ProductUnits], payload: String
    ) {
        self.id = id
        self.kind = kind
        self.orderID = orderID
        self.occurredAt = occurredAt
        self.saleDay = saleDay
        self.units = units
        self.payload = payload
    }
}

/// Units of one product; signed.
package struct ProductUnits: Sendable, Equatable {
    package let productID: ProductID
    package let units: Int64

    package init(productID: ProductID, units: Int64) {
        (self.productID, self.units) = (productID, units)
    }
}
