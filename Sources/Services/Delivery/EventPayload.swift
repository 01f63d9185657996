import Commerce
import JSON
import NIOCore
package import Store

/// The message that the data platform gets about an order: written once, with the event, and never rendered anew.
package enum EventPayload {
    /// One JSON object; its members are named in the README's chapter on the data platform.
    package static func render(_ facts: EventFacts) -> String {
        var json = JSONWriter(capacity: 512)
        json.beginObject()
        json.member("eventId", facts.id.rawValue)
        json.member("type", facts.kind.rawValue)
        json.member("occurredAt", facts.occurredAt.description)
        write(facts.order, into: &json)
        json.beginObject("payment")
        json.member("paymentId", facts.payment.id.rawValue)
        json.member("amount", facts.payment.amount.rawValue)
        json.member("refundedAmount", facts.payment.refundedAmount.rawValue)
        json.member("paidAt", facts.payment.paidAt.description)
        json.endObject()
        if let refund = facts.refund { write(refund, of: facts.refundedItems, into: &json) }
        json.endObject()
        return String(buffer: json.buffer)
    }

    private static func write(_ order: Order, into json: inout JSONWriter) {
        json.beginObject("order")
        json.member("orderId", order.id.rawValue)
        json.member("orderNumber", order.number.description)
        json.member("userId", order.userID.rawValue)
        json.member("status", order.storedStatus.rawValue)
        json.beginArray("items")
        for line in order.lines {
            json.beginObject()
            json.member("productId", line.productID.rawValue)
            json.member("name", line.name)
            json.member("unitPrice", line.unitPrice.rawValue)
            json.member("quantity", line.quantity)
            json.member("amount", line.amount.rawValue)
            json.endObject()
        }
        json.endArray()
        json.member("totalAmount", order.totalAmount.rawValue)
        json.member("discountAmount", order.discountAmount.rawValue)
        json.member("finalAmount", order.finalAmount.rawValue)
        if let coupon = order.issuedCouponID { json.member("issuedCouponId", coupon.rawValue) }
        json.endObject()
    }

    private static func write(_ refund: Refund, of items: [RequestedItem], into json: inout JSONWriter) {
        json.beginObject("refund")
        json.member("refundId", refund.id.rawValue)
        json.member("amount", refund.amount.rawValue)
        json.beginArray("items")
        for item in items {
            json.beginObject()
            json.member("productId", item.productID.rawValue)
            json.member("quantity", item.quantity)
            json.endObject()
        }
        json.endArray()
        json.endObject()
    }
}
