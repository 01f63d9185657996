import HTTPServer
import JSON
import NIOCore
import Services

/// The handlers of `/healthz`, `/readyz`, `/metrics`, `/openapi.json` and `/docs`, which are outside the versioned API.
enum Operations {
    private static let alive = HTTPResponse.object(.personal) { $0.member("status", raw: "\"ok\"") }
    private static let ready = HTTPResponse.object(.personal) { $0.member("status", raw: "\"ready\"") }

    static let health: Route.Handler = { _ in .now(alive) }

    static let document: Route.Handler = { call in call.loop.documents.answer(to: call.request) { $0.contract } }

    static let documentationPage: Route.Handler = { call in call.loop.documents.answer(to: call.request) { $0.page } }

    static let readiness: Route.Handler = { call in
        .task {
            let readiness = await call.services.readiness()
            return readiness.isReady ? ready : Problem(readiness).response
        }
    }

    static let metrics: Route.Handler = { call in
        .now(
            HTTPResponse(
                status: 200, headers: [("cache-control", "no-store")], contentType: PrometheusText.contentType,
                body: call.loop.metrics.text()))
    }
}

extension Problem {
    /// The answer of a service that is not ready. `missing` names what is missing: `store`, `redis` (`redis:other-store` where it
    /// serves another store or another incarnation of this one), the gate of a campaign such as `coupon:7`, `coupons` before the
    /// campaigns were first read, `claims` while gates are compared with the store (`comparing` is how many are left), or `draining`
    /// when the service is about to stop.
    init(_ readiness: Readiness) {
        var json = JSONWriter()
        json.beginArray()
        if readiness.isEnding { json.element("draining") }
        if !readiness.storeAnswers { json.element("store") }
        if readiness.isRedisForeign {
            json.element("redis:other-store")
        } else if !readiness.redisAnswers {
            json.element("redis")
        }
        if let unloaded = readiness.unloadedCampaigns {
            for coupon in unloaded { json.element("coupon:\(coupon)") }
        } else {
            json.element("coupons")
        }
        let comparing = readiness.uncomparedCampaigns ?? 0
        if comparing > 0 { json.element("claims") }
        json.endArray()
        self.init(
            code: .temporarilyUnavailable, detail: readiness.isEnding ? "The service is shutting down." : "The service is not ready.",
            members: [.json("missing", json.buffer), .integer("comparing", Int64(comparing))],
            headers: [.retryAfter(seconds: 1)])
    }
}
