import Commerce
import HTTPServer
import Services
import Store

/// The handlers of coupon campaigns, of claims, and of the coupons people have.
enum Coupons {
    static let create: Route.Handler = { call in
        .task {
            let terms = try call.body { CampaignTerms(&$0, now: call.now) }
            return try await call.answer(.created { $0.write($1, at: $2) }) { idempotency in
                try await call.services.campaigns.create(terms, at: call.now, on: call.loop.context, idempotency: idempotency)
            }
        }
    }

    static let update: Route.Handler = { call in
        .task {
            let id = try call.id("couponId", of: Campaign.self)
            let change = try call.body { CampaignChange(&$0) }
            switch try await call.services.campaigns.change(id, change, at: call.now, on: call.loop.context) {
            case .done(let campaign): return .object(.open) { $0.write(campaign, at: call.now) }
            case .refused(let refusal): return call.refusal(refusal)
            }
        }
    }

    static let list: Route.Handler = { call in
        .task {
            let request = try call.query { $0.page() }
            let page = try await call.store.campaigns(page: request)
            return .page(page, .open) { $0.write($1, at: call.now) }
        }
    }

    static let get: Route.Handler = { call in
        try .atOnce {
            let id = try call.id("couponId", of: Campaign.self)
            guard let campaign = try call.reader.campaign(id) else { return call.refusal(.couponNotFound) }
            return .object(.open) { $0.write(campaign, at: call.now) }
        }
    }

    /// First come, first served. Whoever gets a refusal from the gate has it without a task; the few who win go on in one.
    @Sendable static func claim(_ call: Call, _ user: UserID) throws -> HTTPAnswer {
        let id = try call.id("couponId", of: Campaign.self)
        guard call.idempotencyKey == nil else { return .task { try await claim(call, id, user, after: nil) } }
        // Asked first, because it touches nothing that another loop writes to.
        if call.loop.context.soldOut.refuses(user, id) { return .now(call.loop.prepared.couponSoldOut) }
        let question: Claims.Question
        switch call.services.claims.recall(id, by: user, on: call.loop.context) {
        case .soldOut: return .now(call.loop.prepared.couponSoldOut)
        case .alreadyClaimed(let known): return .now(call.loop.alreadyClaimed(known, at: call.now))
        case .userNotFound: return .now(call.loop.prepared.userNotFound)
        case .unknown(let asked): question = asked
        }
        return .callback { done in
            call.services.claims.ask(question, on: call.loop.context) { outcome in
                switch outcome {
                case .refused(let refusal): done(.success(answer(refusal, to: call)))
                case .failed(let error): done(.failure(error))
                case .goesOn(let verdict):
                    Task.immediate(executorPreference: call.loop.context.executor) {
                        do { done(.success(try await claim(call, id, user, after: verdict))) } catch { done(.failure(error)) }
                    }
                }
            }
        }
    }

    private static func answer(_ refusal: Refusal, to call: Call) -> HTTPResponse {
        if case .couponAlreadyClaimed(let coupon) = refusal { return call.loop.alreadyClaimed(coupon, at: call.now) }
        return call.refusal(refusal)
    }

    private static func claim(
        _ call: Call, _ id: CouponID, _ user: UserID, after verdict: CouponGate.Verdict?
    ) async throws -> HTTPResponse {
        try await call.answer(.created { $0.write($1, at: $2) }) { idempotency in
            try await call.services.claims.claim(id, by: user, on: call.loop.context, after: verdict, idempotency: idempotency)
        }
    }

    @Sendable static func listIssued(_ call: Call, _ user: UserID) -> HTTPAnswer {
        .task {
            let (status, request) = try call.query { ($0.choice("status", of: IssuedCoupon.Status.self), $0.page()) }
            let page = try await call.store.issuedCoupons(of: user, status: status, at: call.now, page: request)
            return .page(page, .personal) { $0.write($1, at: call.now) }
        }
    }
}
