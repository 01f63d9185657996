/// An order of products, with prices as they were when it was placed.
package struct Order: Sendable, Equatable {
    /// An order's status; raw values as in `Sources/API/openapi.json`.
    package enum Status: String, Sendable, CaseIterable {
        case pending = "PENDING"
        case paid = "PAID"
        case cancelled = "CANCELLED"
        case expired = "EXPIRED"
        case refunded = "REFUNDED"
    }

    package let id: OrderID
    package let number: OrderNumber
    package let userID: UserID
    /// The stored status; clients are shown ``status(at:)``.
    package let storedStatus: Status
    package let lines: [OrderLine]
    package let totalAmount: Won
    package let discountAmount: Won
    package let issuedCouponID: IssuedCouponID?
    package let createdAt: Instant
    package let expiresAt: Instant
    package let paidAt: Instant?

    package var finalAmount: Won { Won(totalAmount.rawValue - discountAmount.rawValue) }

    /// The status at an instant: a pending order is expired from `expiresAt` on, even while it still holds stock and coupon in the store.
    package func status(at now: Instant) -> Status {
        storedStatus == .pending && now >= expiresAt ? .expired : storedStatus
    }

    package init(
        id: OrderID, number: OrderNumber, userID: UserID, storedStatus: Status, lines: [OrderLine], totalAmount: Won, discountAmount: Won,
        issuedCouponID: IssuedCouponID?, createdAt: Instant, expiresAt: Instant, paidAt: Instant?
    ) {
        self.id = id
        self.number = number
        self.userID = userID
        self.storedStatus = storedStatus
        self.lines = lines
        self.totalAmount = totalAmount
        self.discountAmount = discountAmount
        self.issuedCouponID = issuedCouponID
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.paidAt = paidAt
    }
}

/// One product of an order.
package struct OrderLine: Sendable, Equatable {
    package let productID: ProductID
    package let name: String
    package let unitPrice: Won
    package let quantity: Int64
    /// `unitPrice` times `quantity`.
    package let amount: Won

    package init(productID: ProductID, name: String, unitPrice: Won, quantity: Int64, amount: Won) {
        (self.productID, self.name, self.unitPrice, self.quantity, self.amount) = (productID, name, unitPrice, quantity, amount)
    }
}

/// Units of a product that an order or a refund asks for.
package struct RequestedItem: Sendable, Hashable {
    package let productID: ProductID
    package let quantity: Int64

    package init(productID: ProductID, quantity: Int64) {
        (self.productID, self.quantity) = (productID, quantity)
    }

    /// Adds up the lines of one product, in the order in which products first appear; `nil` when a sum leaves `Int64`.
    package static func summed(_ items: [RequestedItem]) -> [RequestedItem]? {
        var sums: [RequestedItem] = []
        var places: [ProductID: Int] = [:]
        for item in items {
            guard let place = places[item.productID] else {
                places[item.productID] = sums.count
                sums.append(item)
                continue
            }
            let (sum, overflow) = sums[place].quantity.addingReportingOverflow(item.quantity)
            guard !overflow else { return nil }
            sums[place] = RequestedItem(productID: item.productID, quantity: sum)
        }
        return sums
    }
}
