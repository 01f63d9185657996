import Commerce
import GRDB

/// An order that may be placed: all checks are done and nothing is written yet.
struct OrderDraft {
    let userID: UserID
    let lines: [OrderLine]
    let total: Won
    let discount: Won
    let issuedCouponID: IssuedCouponID?

    var finalAmount: Won { Won(total.rawValue - discount.rawValue) }
}

/// Thrown inside a job to refuse; ``Database/refusable(_:)`` catches it, so it never leaves the job.
struct RefusedDecision: Error {
    let refusal: Refusal

    init(_ refusal: Refusal) {
        self.refusal = refusal
    }
}

extension Database {
    /// Turns a refusal thrown by a decision into the job's outcome.
    func refusable<Value>(_ body: () throws -> Value) throws -> Outcome<Value> {
        do {
            return .done(try body())
        } catch let decision as RefusedDecision {
            return .refused(decision.refusal)
        }
    }

    /// Prices the items, and checks stock and coupon.
    ///
    /// Throws `RefusedDecision`: `invalid`, `productNotFound`, `outOfStock`, `couponNotUsable`.
    func draftOrder(
        userID: UserID, items: [RequestedItem], issuedCouponID: IssuedCouponID?, at now: Instant
    ) throws -> OrderDraft {
        guard let items = RequestedItem.summed(items), !items.isEmpty, items.allSatisfy({ $0.quantity > 0 }) else {
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
        let discount = try issuedCouponID.map { try couponDiscount($0, for: userID, total: total, at: now) }
        return OrderDraft(
            userID: userID, lines: lines, total: total, discount: discount ?? .zero, issuedCouponID: issuedCouponID)
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
