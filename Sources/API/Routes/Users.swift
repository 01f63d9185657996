import Commerce
import HTTPServer
import Services
import Store

/// The handlers of `/users`.
enum Users {
    static let create: Route.IdentityHandler = { call, admin in
        .task {
            let user = try call.body { NewUser(&$0) }
            return try await call.answer(
                .created { json, value, _ in json.write(value) }, log: call.adminLog(of: admin, AdminActions.createdUser)
            ) { context in
                try await call.store.createUser(name: user.name, in: context)
            }
        }
    }

    @Sendable static func get(_ call: Call, _ id: UserID) throws -> HTTPAnswer {
        try call.show(call.reader.find(user: id, on: call.loop.context)) { user, call in
            guard let user else { return call.refusal(.userNotFound) }
            return .object(.personal) { $0.write(user) }
        }
    }
}

/// The handlers of `/users/{userId}/balance`.
enum Balances {
    @Sendable static func get(_ call: Call, _ id: UserID) throws -> HTTPAnswer {
        switch call.loop.balance(of: id) {
        case .valid(let answer): return .now(answer)
        case .outdated(let stamp):
            return try call.show(call.reader.find(balanceOf: id, on: call.loop.context), stamp) { balance, stamp, call in
                guard let balance else { return call.refusal(.userNotFound) }
                let answer = HTTPResponse.object(.personal) { $0.write(balance) }
                call.loop.keep(answer, asBalanceOf: balance.userID, stamp)
                return answer
            }
        }
    }

    @Sendable static func charge(_ call: Call, _ id: UserID, _ identity: Identity) -> HTTPAnswer {
        .task {
            let charge = try call.body { NewCharge(&$0) }
            let amounts = call.services.configuration.policy.chargeAmounts
            guard amounts.contains(charge.amount) else { return call.refusal(.amountOutOfRange(amounts)) }
            return try await call.answer(
                .created { json, value, _ in json.write(value) }, log: call.adminLog(of: identity, AdminActions.chargedBalance)
            ) { context in
                try await call.store.charge(userID: id, amount: charge.amount, in: context)
            }
        }
    }

    @Sendable static func history(_ call: Call, _ id: UserID) -> HTTPAnswer {
        .cancellableTask {
            let request = try call.query { $0.page() }
            let page = try await call.store.balanceHistory(of: id, page: request)
            return .page(page, .personal) { $0.write($1) }
        }
    }
}
