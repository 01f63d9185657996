import Commerce
import HTTPServer
import Store

/// The handlers of payments and refunds.
enum Payments {
    @Sendable static func pay(_ call: Call, _ user: UserID) -> HTTPAnswer {
        .task {
            let payment = try call.body { NewPayment(&$0) }
            return try await call.answer(.created { json, value, _ in json.write(value) }) { context in
                try await call.store.pay(
                    orderID: payment.orderID, by: user, in: context)
            }
        }
    }

    @Sendable static func get(_ call: Call, _ identity: Identity) throws -> HTTPAnswer {
        try .atOnce {
            let id = try call.id("paymentId", of: Payment.self)
            guard let payment = try call.reader.payment(id) else { return call.refusal(.paymentNotFound) }
            guard identity.mayRead(whatBelongsTo: payment.userID) else { return call.refusal(.notYours) }
            return .object(.personal) { $0.write(payment) }
        }
    }

    static let refund: Route.Handler = { call in
        .task {
            let id = try call.id("paymentId", of: Payment.self)
            let refund = try call.body { NewRefund(&$0) }
            return try await call.answer(.created { json, value, _ in json.write(value) }) { context in
                try await call.store.refund(
                    paymentID: id, items: refund.items, in: context)
            }
        }
    }
}
