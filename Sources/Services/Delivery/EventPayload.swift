import Commerce
import JSON
import NIOCore
package import Store

/// The message that the data platform gets about an order. It is stored with the event, so every try sends the same bytes.
package enum EventPayload {
    /// Renders one JSON object; the guide *Integrating* names its members.
    package static func render(_ facts: EventFacts) -> String {
        var json = JSONWriter(capacity: 512)
        json.beginObject()
        json.member("eventId", facts.id)
        json.member("type", facts.kind.rawValue)
        json.member("occurredAt", facts.occurredAt)
        write(facts.order, into: &json)
        json.beginObject("payment")
        json.member("paymentId", facts.payment.id)
        json.member("amount", facts.payment.amount)
        json.member("refundedAmount", facts.payment.refundedAmount)
        json.member("paidAt", facts.payment.paidAt)
        json.endObject()
        if let refund = facts.refund { write(refund, of: facts.refundedItems, into: &json) }
        json.endObject()
        return String(buffer: json.buffer)
    }

    private static func write(_ order: Order, into json: inout JSONWriter) {
        json.beginObject("order")
        json.member("orderId", order.id)
        json.member("orderNumber", order.number.description)
        json.member("userId", order.userID)
        json.member("status", order.storedStatus.rawValue)
        json.write(order.lines)
        json.member("totalAmount", order.totalAmount)
        json.member("discountAmount", order.discountAmount)
        json.member("finalAmount", order.finalAmount)
        if let coupon = order.issuedCouponID { json.member("issuedCouponId", coupon.rawValue) }
        json.endObject()
    }

    private static func write(_ refund: Refund, of items: [RequestedItem], into json: inout JSONWriter) {
        json.beginObject("refund")
        json.member("refundId", refund.id)
        json.member("amount", refund.amount)
        json.beginArray("items")
        for item in items {
            json.beginObject()
            json.member("productId", item.productID)
            json.member("quantity", item.quantity)
            json.endObject()
        }
        json.endArray()
        json.endObject()
    }
}
