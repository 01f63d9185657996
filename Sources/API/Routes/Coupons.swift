import Commerce
import HTTPServer
import JSON
import NIOCore
import Services
import Store

/// The handlers of coupon campaigns, claims and issued coupons.
enum Coupons {
    static let create: Route.IdentityHandler = { call, admin in
        .task {
            let terms = try call.body { CampaignTerms(&$0, now: call.now) }
            return try await call.answer(
                .created { $0.write($1, at: $2) }, log: call.adminLog(of: admin, AdminActions.createdCampaign)
            ) { context in
                try await call.services.campaigns.create(terms, in: context, origin: call.origin)
            }
        }
    }

    static let update: Route.IdentityHandler = { call, admin in
        .task {
            let id = try call.id("couponId", of: Campaign.self)
            let change = try call.change(from: CampaignChange(), members: "quantity, opensAt or closesAt") { CampaignChange(&$0) }
            let now = call.now
            let condition = try call.ifMatch().map { tags in
                { @Sendable (campaign: Campaign) in tags.matches(EntityTag(of: representation(campaign, at: now))) }
            }
            let outcome = try await call.services.campaigns.change(
                id, change, onlyIf: condition, log: call.adminLog(of: admin) { AdminActions.changedCampaign($0, change) },
                on: call.loop.context, origin: call.origin)
            switch outcome {
            case .done(let campaign): return HTTPResponse.Representation(representation(campaign, at: now)).response
            case .refused(let refusal): return call.refusal(refusal)
            }
        }
    }

    static let list: Route.Handler = { call in
        .cancellableTask {
            let request = try call.query { $0.page() }
            let page = try await call.store.campaigns(page: request)
            return .page(page, .open) { $0.write($1, at: call.now) }
        }
    }

    static let get: Route.Handler = { call in
        let id = try call.id("couponId", of: Campaign.self)
        return try call.show(call.reader.find(campaign: id, on: call.loop.context)) { campaign, call in
            guard let campaign else { return call.refusal(.couponNotFound) }
            return call.conditional(HTTPResponse.Representation(representation(campaign, at: call.now)))
        }
    }

    private static func representation(_ campaign: Campaign, at now: Instant) -> ByteBuffer {
        JSONWriter.document { $0.write(campaign, at: now) }
    }

    /// Claims a coupon. Most refusals are answered at once from memory; a claim that Redis has to decide is answered by callback.
    @Sendable static func claim(_ call: Call, _ user: UserID) throws -> HTTPAnswer {
        let id = try call.id("couponId", of: Campaign.self)
        let idempotency = call.idempotencyKey == nil ? nil : call.idempotentWrite(of: issued)
        switch call.services.claims.claim(id, by: user, on: call.loop.context, idempotency: idempotency) {
        case .now(let outcome): return .now(try response(to: outcome, call))
        case .later(let begin):
            if let refusal = call.loop.shedding.refusal(of: .claim, claiming: id) { return .now(refusal) }
            return .callback { done in begin { outcome in done(Result { try response(to: outcome, call) }) } }
        }
    }

    private static let issued = Success<IssuedCoupon>.created { $0.write($1, at: $2) }

    private static func response(to outcome: ClaimOutcome, _ call: Call) throws -> HTTPResponse {
        call.loop.claims.count(ClaimOutcomes.Outcome(outcome))
        return switch outcome {
        case .issued(let coupon): call.response(issued, coupon.issued)
        case .alreadyClaimed(let known): call.loop.alreadyClaimed(known, at: call.now)
        case .soldOut: call.loop.prepared.couponSoldOut
        case .closed: call.loop.prepared.couponClosed
        case .notOpen(let opensAt): call.refusal(.couponNotOpen(opensAt: opensAt))
        case .couponNotFound: call.refusal(.couponNotFound)
        case .userNotFound: call.loop.prepared.userNotFound
        case .idempotencyKeyReused: call.refusal(.idempotencyKeyReused)
        case .replayed(let response): call.replay(response)
        case .failed(let error): throw error
        }
    }

    @Sendable static func listIssued(_ call: Call, _ user: UserID) -> HTTPAnswer {
        .cancellableTask {
            let (status, request) = try call.query { ($0.choice("status", of: IssuedCoupon.Status.self), $0.page()) }
            let page = try await call.store.issuedCoupons(of: user, status: status, at: call.now, page: request)
            return .page(page, .personal) { $0.write($1, at: call.now) }
        }
    }
}
