import Commerce
import JSON
import NIOCore
import Services
import Store

/// What the admin log says of each action. Details have what was asked for; a changed member has its values before and after.
///
/// A user's name is left out: an entry is never removed, and the user's row has the name.
enum AdminActions {
    static let createdUser: @Sendable (User) -> AdminAction? = { user in AdminAction("user.create", on: "user:\(user.id)", details: "{}") }

    static let chargedBalance: @Sendable (Charge) -> AdminAction? = { charge in
        action("balance.charge", on: "user:\(charge.userID)") { json in
            json.member("chargeId", charge.id)
            json.member("amount", charge.amount)
            json.member("balance", charge.balance)
        }
    }

    static let createdProduct: @Sendable (Product) -> AdminAction? = { product in
        action("product.create", on: "product:\(product.id)") { json in
            json.member("name", product.name)
            json.member("price", product.price)
            json.member("stock", product.available)
        }
    }

    static func changedProduct(_ row: Changed<Product>, _ change: ProductChange) -> AdminAction? {
        action("product.update", on: "product:\(row.new.id)") { json in
            if change.name != nil { json.changed("name", row.old.name, row.new.name) }
            if change.price != nil { json.changed("price", row.old.price.rawValue, row.new.price.rawValue) }
            if change.available != nil || change.stockChange != nil { json.changed("stock", row.old.available, row.new.available) }
        }
    }

    static let grantedCoupons: @Sendable (Grant) -> AdminAction? = { grant in
        action("coupon.grant", on: "coupon:\(grant.couponID)") { json in
            json.member("grantId", grant.id)
            json.member("total", grant.total)
        }
    }

    static let createdCampaign: @Sendable (Campaign) -> AdminAction? = { campaign in
        action("coupon.create", on: "coupon:\(campaign.id)") { json in
            json.member("name", campaign.terms.name)
            json.write(campaign.terms.discount)
            json.member("quantity", campaign.terms.quantity)
            json.member("opensAt", campaign.terms.opensAt)
            json.member("closesAt", campaign.terms.closesAt)
        }
    }

    static func changedCampaign(_ row: Changed<Campaign>, _ change: CampaignChange) -> AdminAction? {
        let (old, new) = (row.old.terms, row.new.terms)
        return action("coupon.update", on: "coupon:\(row.new.id)") { json in
            if change.quantity != nil { json.changed("quantity", old.quantity, new.quantity) }
            if change.opensAt != nil { json.changed("opensAt", old.opensAt.description, new.opensAt.description) }
            if change.closesAt != nil || change.removesEnd {
                json.changed("closesAt", old.closesAt?.description, new.closesAt?.description)
            }
        }
    }

    static let cancelledOrder: @Sendable (Order) -> AdminAction? = { order in
        action("order.cancel", on: "order:\(order.id)") { json in
            json.member("orderNumber", order.number.description)
            json.member("userId", order.userID)
        }
    }

    /// - Parameter items: nil for all that was left.
    static func refundedPayment(_ refund: Refund, _ items: [RequestedItem]?) -> AdminAction? {
        action("payment.refund", on: "payment:\(refund.paymentID)") { json in
            json.member("refundId", refund.id)
            json.member("amount", refund.amount)
            guard let items else { return }
            json.beginArray("items")
            for item in items {
                json.beginObject()
                json.member("productId", item.productID)
                json.member("quantity", item.quantity)
                json.endObject()
            }
            json.endArray()
        }
    }

    static let retriedEvent: @Sendable (EventRecord) -> AdminAction? = { record in
        action("event.retry", on: "event:\(record.event.id)") { $0.member("orderId", record.event.orderID) }
    }

    static let retriedEvents: @Sendable (Int64) -> AdminAction? = { count in
        action("events.retry", on: "events") { $0.member("parked", count) }
    }

    private static func action(_ name: String, on object: String, _ details: (inout JSONWriter) -> Void) -> AdminAction {
        AdminAction(name, on: object, details: String(buffer: JSONWriter.document(details)))
    }
}

extension JSONWriter {
    fileprivate mutating func changed(_ name: StaticString, _ old: Int64, _ new: Int64) {
        beginObject(name)
        member("from", old)
        member("to", new)
        endObject()
    }

    fileprivate mutating func changed(_ name: StaticString, _ old: String?, _ new: String?) {
        beginObject(name)
        member("from", old)
        member("to", new)
        endObject()
    }

    /// An entry of the admin log.
    mutating func write(_ entry: AdminLogEntry) {
        member("logId", entry.id)
        member("at", entry.at)
        member("actor", entry.actor)
        member("action", entry.action.name)
        member("object", entry.action.object)
        member("requestId", entry.requestID)
        member("details", raw: ByteBuffer(string: entry.action.details))
    }
}
