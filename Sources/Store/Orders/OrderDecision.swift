package import Commerce

/// An order that may be placed: all checks are done and nothing is written yet.
package struct OrderDraft: Sendable {
    package let userID: UserID
    package let lines: [OrderLine]
    package let total: Won
    package let discount: Won
    package let issuedCouponID: IssuedCouponID?

    package var finalAmount: Won { Won(total.rawValue - discount.rawValue) }
}

/// What a user wants to order.
struct OrderRequest: Sendable {
    let userID: UserID
    let items: [RequestedItem]
    let issuedCouponID: IssuedCouponID?

    /// What ``Books/draft(_:at:)`` reads and ``Books/insert(_:as:at:)`` writes.
    func needs(at now: Instant) -> Needs {
        var needs = Needs(users: [userID], products: items.map(\.productID))
        if let issuedCouponID { needs.issuedCoupons = [issuedCouponID] }
        needs.orderNumbersAt = now
        needs.new.orders = 1
        return needs
    }
}

extension Books {
    /// Prices the items, and checks stock and coupon.
    ///
    /// Throws `RefusedDecision`: `invalid`, `productNotFound`, `outOfStock`, `couponNotUsable`.
    func draft(_ request: OrderRequest, at now: Instant) throws -> OrderDraft {
        guard let items = RequestedItem.summed(request.items), !items.isEmpty, items.allSatisfy({ $0.quantity > 0 }) else {
            throw RefusedDecision(.invalid(field: "items", reason: "must hold positive quantities whose sums are not too large"))
        }
        let products = try items.map { item in
            guard let product = try product(item.productID) else { throw RefusedDecision(.productNotFound(item.productID)) }
            return product
        }
        var lines: [OrderLine] = []
        var total = Won.zero
        for (item, product) in zip(items, products) {
            guard product.available >= item.quantity else {
                throw RefusedDecision(.outOfStock(product.id, available: product.available))
            }
            guard let amount = product.price.multiplied(by: item.quantity), let sum = total.adding(amount) else {
                throw RefusedDecision(.invalid(field: "items", reason: "the total is too large"))
            }
            total = sum
            lines.append(
                OrderLine(
                    productID: product.id, name: product.name, unitPrice: product.price, quantity: item.quantity, amount: amount))
        }
        let discount = try request.issuedCouponID.map { try couponDiscount($0, for: request.userID, total: total, at: now) }
        return OrderDraft(
            userID: request.userID, lines: lines, total: total, discount: discount ?? .zero, issuedCouponID: request.issuedCouponID)
    }

    /// The coupon's discount. A coupon that does not exist is refused like one of another user, so no caller learns which ids exist.
    private func couponDiscount(_ id: IssuedCouponID, for userID: UserID, total: Won, at now: Instant) throws -> Won {
        guard let coupon = try issuedCoupon(id), coupon.userID == userID else { throw RefusedDecision(.couponNotUsable(.notYours)) }
        switch coupon.status(at: now) {
        case .used: throw RefusedDecision(.couponNotUsable(.used))
        case .held: throw RefusedDecision(.couponNotUsable(.held))
        case .expired: throw RefusedDecision(.couponNotUsable(.expired))
        case .issued: break
        }
        guard total >= coupon.minOrderAmount else { throw RefusedDecision(.couponNotUsable(.belowMinimum)) }
        return coupon.discount.amount(offTotal: total)
    }

    /// The order with this id, if the user may act on it; `user` is `nil` for an admin.
    ///
    /// Throws `RefusedDecision`: `orderNotFound`, `notYours`.
    func order(_ id: OrderID, for user: UserID?) throws -> Order {
        guard let order = try order(id) else { throw RefusedDecision(.orderNotFound) }
        guard user == nil || order.userID == user else { throw RefusedDecision(.notYours) }
        return order
    }
}
