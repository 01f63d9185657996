import Commerce
import JSON
import NIOCore
import Services
import Store

/// The JSON of the resources that `openapi.json` describes. A function writes the members of one object, which its caller begins and ends.
extension JSONWriter {
    /// A document that is one object, whose members `write` writes.
    static func document(capacity: Int = 512, _ write: (inout JSONWriter) -> Void) -> ByteBuffer {
        var json = JSONWriter(capacity: capacity)
        json.beginObject()
        write(&json)
        json.endObject()
        return json.buffer
    }

    mutating func write(_ user: User) {
        member("userId", user.id)
        member("name", user.name)
        member("createdAt", user.createdAt)
    }

    mutating func write(_ balance: Balance) {
        member("userId", balance.userID)
        member("balance", balance.amount)
        member("updatedAt", balance.updatedAt)
    }

    mutating func write(_ charge: Charge) {
        member("chargeId", charge.id)
        member("userId", charge.userID)
        member("amount", charge.amount)
        member("balance", charge.balance)
        member("chargedAt", charge.chargedAt)
    }

    mutating func write(_ entry: BalanceEntry) {
        member("entryId", entry.id)
        member("kind", entry.kind.rawValue)
        member("amount", entry.amount)
        member("balanceAfter", entry.balanceAfter)
        member("orderId", entry.orderID)
        member("at", entry.at)
    }

    mutating func write(_ product: Product) {
        member("productId", product.id)
        member("name", product.name)
        member("price", product.price)
        member("stock", product.available)
        member("createdAt", product.createdAt)
    }

    mutating func write(_ top: TopProducts) {
        beginObject("window")
        member("from", top.windowFrom.description)
        member("to", top.windowTo.description)
        member("timeZone", top.timeZone)
        endObject()
        member("asOf", top.asOf)
        beginArray("items")
        for place in top.items {
            beginObject()
            member("rank", Int64(place.rank))
            member("productId", place.product.id)
            member("name", place.product.name)
            member("price", place.product.price)
            member("stock", place.product.available)
            member("unitsSold", place.unitsSold)
            endObject()
        }
        endArray()
    }

    mutating func write(_ discount: Discount) {
        beginObject("discount")
        switch discount {
        case .fixed(let amount):
            member("type", raw: "\"FIXED\"")
            member("amount", amount)
        case .percent(let percent, let maxAmount):
            member("type", raw: "\"PERCENT\"")
            member("percent", percent)
            member("maxAmount", maxAmount)
        }
        endObject()
    }

    mutating func write(_ campaign: Campaign, at now: Instant) {
        let terms = campaign.terms
        member("couponId", campaign.id)
        member("name", terms.name)
        write(terms.discount)
        member("quantity", terms.quantity)
        member("remaining", campaign.remaining)
        member("opensAt", terms.opensAt)
        member("closesAt", terms.closesAt)
        member("status", campaign.status(at: now).rawValue)
        member("validFor", terms.validForSeconds)
        member("minOrderAmount", terms.minOrderAmount)
        member("restoreOnRefund", terms.restoreOnRefund)
        member("createdAt", campaign.createdAt)
        beginObject("chain")
        member("sequence", campaign.chain.sequence)
        member("hash", campaign.chain.hash?.description)
        endObject()
    }

    mutating func write(_ received: CouponWithReceipt, at now: Instant) {
        write(received.coupon, at: now)
        guard let receipt = received.receipt else { return }
        beginObject("receipt")
        member("nonce", receipt.nonce)
        member("userHash", receipt.userHash.description)
        member("previousHash", receipt.previousHash.description)
        member("hash", receipt.hash.description)
        endObject()
    }

    mutating func write(_ coupon: IssuedCoupon, at now: Instant) {
        member("issuedCouponId", coupon.id)
        member("code", coupon.code.description)
        member("couponId", coupon.couponID)
        member("userId", coupon.userID)
        member("name", coupon.name)
        write(coupon.discount)
        member("minOrderAmount", coupon.minOrderAmount)
        member("sequence", coupon.sequence)
        member("status", coupon.status(at: now).rawValue)
        member("issuedAt", coupon.issuedAt)
        member("expiresAt", coupon.expiresAt)
        member("usedAt", coupon.usedAt)
        member("orderId", coupon.orderID)
    }

    mutating func write(_ order: Order, at now: Instant) {
        member("orderId", order.id)
        member("orderNumber", order.number.description)
        member("userId", order.userID)
        member("status", order.status(at: now).rawValue)
        write(order.lines)
        member("totalAmount", order.totalAmount)
        member("discountAmount", order.discountAmount)
        member("finalAmount", order.finalAmount)
        member("issuedCouponId", order.issuedCouponID)
        member("createdAt", order.createdAt)
        member("expiresAt", order.expiresAt)
        member("paidAt", order.paidAt)
    }

    mutating func write(_ payment: Payment) {
        member("paymentId", payment.id)
        member("orderId", payment.orderID)
        member("orderNumber", payment.orderNumber.description)
        member("userId", payment.userID)
        member("amount", payment.amount)
        member("balance", payment.balance)
        member("paidAt", payment.paidAt)
        member("refundedAmount", payment.refundedAmount)
    }

    mutating func write(_ checkout: Checkout, at now: Instant) {
        beginObject("order")
        write(checkout.order, at: now)
        endObject()
        beginObject("payment")
        write(checkout.payment)
        endObject()
    }

    mutating func write(_ refund: Refund) {
        member("refundId", refund.id)
        member("paymentId", refund.paymentID)
        member("amount", refund.amount)
        member("refundedAmount", refund.refundedAmount)
        member("balance", refund.balance)
        member("refundedAt", refund.refundedAt)
    }

    mutating func write(_ record: EventRecord) {
        member("eventId", record.event.id)
        member("type", record.event.kind.rawValue)
        member("orderId", record.event.orderID)
        member("occurredAt", record.event.occurredAt)
        member("saleDay", record.event.saleDay.description)
        member("state", EventState(record.delivery).rawValue)
        member("attempts", record.attempts)
        member("nextAttemptAt", record.nextAttemptAt)
        member("lastError", record.lastError)
    }

    /// A page of a list, each element written by `write`.
    static func page<Item>(_ page: Page<Item>, _ write: (inout JSONWriter, Item) -> Void) -> ByteBuffer {
        document(capacity: 64 + 256 * page.items.count) { json in
            json.beginArray("items")
            for item in page.items {
                json.beginObject()
                write(&json, item)
                json.endObject()
            }
            json.endArray()
            json.member("nextCursor", page.nextCursor)
        }
    }
}
