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
        let id = try call.id("paymentId", of: Payment.self)
        return try call.show(call.reader.find(payment: id, on: call.loop.context), identity) { payment, identity, call in
            guard let payment else { return call.refusal(.paymentNotFound) }
            guard identity.mayRead(whatBelongsTo: payment.userID) else { return call.refusal(.notYours) }
            return .object(.personal) { $0.write(payment) }
        }
    }

    static let refund: Route.IdentityHandler = { call, admin in
        .task {
            let id = try call.id("paymentId", of: Payment.self)
            let refund = try call.body { NewRefund(&$0) }
            return try await call.answer(
                .created { json, value, _ in json.write(value) },
                log: call.adminLog(of: admin) { AdminActions.refundedPayment($0, refund.items) }
            ) { context in
                try await call.store.refund(paymentID: id, items: refund.items, in: context)
            }
        }
    }
}
