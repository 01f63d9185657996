import Commerce
import HTTPServer
import JSON
import NIOCore
import Services
import Store

/// The handlers by which admins grant a campaign's coupons to lists of users.
enum CouponGrants {
    /// Takes a list and answers 202 once it is kept. The work begins after that.
    static let create: Route.IdentityHandler = { call, admin in
        .task {
            let id = try call.id("couponId", of: Campaign.self)
            let format = try UserList.Format(call.request)
            // The request and not its body alone: it holds the permit for a large one.
            let request = call.request
            // PostgreSQL keeps no U+0000.
            let actor = admin.subject.replacing("\0", with: "\u{FFFD}")
            return try await call.answer(accepted, log: call.adminLog(of: admin, AdminActions.grantedCoupons)) { context in
                try await call.services.grants.start(id, by: actor, in: context) { try UserList.read(request.body, format) }
            }
        }
    }

    private static let accepted = Success<Grant>(status: 202) { json, grant, _ in json.write(grant) }

    static let list: Route.IdentityHandler = { call, _ in
        .cancellableTask {
            let id = try call.id("couponId", of: Campaign.self)
            let request = try call.query { $0.page() }
            guard try await call.reader.find(campaign: id, on: call.loop.context).row != nil else { return call.refusal(.couponNotFound) }
            let page = try await call.store.grants(of: id, page: request)
            return .page(page, .personal) { $0.write($1) }
        }
    }

    static let get: Route.IdentityHandler = { call, _ in
        .cancellableTask {
            let (id, grant) = (try call.id("couponId", of: Campaign.self), try call.id("grantId", of: Grant.self))
            if let grant = try await call.store.grant(grant, of: id) { return .object(.personal) { $0.write(grant) } }
            guard try await call.reader.find(campaign: id, on: call.loop.context).row != nil else { return call.refusal(.couponNotFound) }
            return Problem.grantNotFound.response
        }
    }
}

extension Problem {
    static let grantNotFound = Problem(code: .grantNotFound, detail: "The coupon campaign has no grant with this id.")

    static let unsupportedListType = Problem(
        code: .unsupportedMediaType, detail: "The list's Content-Type must be text/csv or application/json in UTF-8.",
        headers: [Header(name: "accept", value: "text/csv, application/json")])
}

extension JSONWriter {
    mutating func write(_ grant: Grant) {
        let counts = grant.counts
        member("grantId", grant.id)
        member("couponId", grant.couponID)
        member("state", grant.state == .done ? "DONE" : "RUNNING")
        member("total", grant.total)
        member("processed", counts.processed)
        member("granted", counts.granted)
        member("alreadyHeld", counts.alreadyHeld)
        member("soldOut", counts.soldOut)
        member("closed", counts.closed)
        member("unknownUsers", counts.unknownUser)
        member("createdAt", grant.createdAt)
        member("finishedAt", grant.finishedAt)
    }
}
