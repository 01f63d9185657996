import Commerce
import HTTPServer
import Store

/// The handlers of orders and of checkout.
enum Orders {
    @Sendable static func place(_ call: Call, _ user: UserID) -> HTTPAnswer {
        .task {
            let order = try call.body { NewOrder(&$0) }
            return try await call.answer(.created { $0.write($1, at: $2) }) { context in
                try await call.store.placeOrder(
                    userID: user, items: order.items, issuedCouponID: order.issuedCouponID, in: context)
            }
        }
    }

    @Sendable static func checkout(_ call: Call, _ user: UserID) -> HTTPAnswer {
        .task {
            let order = try call.body { NewOrder(&$0) }
            return try await call.answer(.created { $0.write($1, at: $2) }) { context in
                try await call.store.checkout(
                    userID: user, items: order.items, issuedCouponID: order.issuedCouponID, in: context)
            }
        }
    }

    @Sendable static func get(_ call: Call, _ identity: Identity) throws -> HTTPAnswer {
        let id = try call.id("orderId", of: Order.self)
        return try call.show(call.reader.find(order: id, on: call.loop.context), identity) { order, identity, call in
            guard let order else { return call.refusal(.orderNotFound) }
            guard identity.mayRead(whatBelongsTo: order.userID) else { return call.refusal(.notYours) }
            return .object(.personal) { $0.write(order, at: call.now) }
        }
    }

    @Sendable static func cancel(_ call: Call, _ identity: Identity) -> HTTPAnswer {
        .task {
            let id = try call.id("orderId", of: Order.self)
            try call.ignoreBody()
            return try await call.answer(
                .ok { $0.write($1, at: $2) }, log: call.adminLog(of: identity, AdminActions.cancelledOrder)
            ) { context in
                try await call.store.cancelOrder(id, by: identity.userID, in: context)
            }
        }
    }

    @Sendable static func list(_ call: Call, _ user: UserID) -> HTTPAnswer {
        .cancellableTask {
            let request = try call.query { $0.page() }
            let page = try await call.store.orders(of: user, page: request)
            return .page(page, .personal) { $0.write($1, at: call.now) }
        }
    }
}
