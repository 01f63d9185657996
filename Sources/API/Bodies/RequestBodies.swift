import Commerce

/// The body of POST `/users`.
struct NewUser: Equatable {
    let name: String

    init?(_ fields: inout FieldReader) {
        guard let name = fields.displayName("name") else { return nil }
        self.name = name
    }
}

/// The body of POST `/users/{userId}/balance/charges`. The bounds of the amount are a business rule, checked when it is charged.
struct NewCharge: Equatable {
    let amount: Won

    init?(_ fields: inout FieldReader) {
        guard let amount = fields.won("amount", in: Int64.min...Int64.max) else { return nil }
        self.amount = amount
    }
}

/// The body of POST `/products`.
struct NewProduct: Equatable {
    let name: String
    let price: Won
    let stock: Int64

    init?(_ fields: inout FieldReader) {
        let name = fields.displayName("name")
        let price = fields.won("price", in: Bounds.price)
        let stock = fields.integer("stock", in: Bounds.stock)
        guard let name, let price, let stock else { return nil }
        (self.name, self.price, self.stock) = (name, price, stock)
    }
}

/// The body of POST `/orders` and POST `/checkout`; lines of the same product are added up.
struct NewOrder: Equatable {
    let items: [RequestedItem]
    let issuedCouponID: IssuedCouponID?

    init?(_ fields: inout FieldReader) {
        let items = fields.array("items", count: Bounds.orderLines) { RequestedItem(&$0) }
        issuedCouponID = fields.optionalID("issuedCouponId", of: IssuedCoupon.self)
        guard let items else { return nil }
        // At most 100 lines of at most a million units: the sums stay far inside Int64.
        guard let sums = RequestedItem.summed(items) else { return nil }
        self.items = sums
    }
}

/// The body of POST `/payments`.
struct NewPayment: Equatable {
    let orderID: OrderID

    init?(_ fields: inout FieldReader) {
        guard let orderID = fields.id("orderId", of: Order.self) else { return nil }
        self.orderID = orderID
    }
}

/// The body of POST `/payments/{paymentId}/refunds`; without `items` everything not yet refunded is refunded.
struct NewRefund: Equatable {
    let items: [RequestedItem]?

    init?(_ fields: inout FieldReader) {
        let items = fields.optionalArray("items", count: Bounds.orderLines) { RequestedItem(&$0) }
        self.items = items.flatMap(RequestedItem.summed)
    }
}

extension RequestedItem {
    init?(_ fields: inout FieldReader) {
        let product = fields.id("productId", of: Product.self)
        let quantity = fields.integer("quantity", in: Bounds.orderLineQuantity)
        guard let product, let quantity else { return nil }
        self.init(productID: product, quantity: quantity)
    }
}
