import HTTPServer
import JSON
import NIOCore
import Services

/// The handlers of `/healthz`, `/readyz`, `/metrics`, `/openapi.json`, `/docs` and `/console`, which are outside the versioned API.
enum Operations {
    private static let alive = HTTPResponse.object(.personal) { $0.member("status", raw: "\"ok\"") }
    private static let ready = HTTPResponse.object(.personal) { $0.member("status", raw: "\"ready\"") }

    static let health: Route.Handler = { _ in .now(alive) }

    static let document: Route.Handler = { call in call.loop.documents.answer(to: call.request) { $0.contract } }

    static let documentationPage: Route.Handler = { call in call.loop.documents.answer(to: call.request) { $0.page } }

    /// A file of the console.
    static func console(_ file: @escaping @Sendable (ConsoleFiles) -> EncodedDocument) -> Route.Handler {
        { call in call.loop.documents.answer(to: call.request) { file($0.console) } }
    }

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
        for part in readiness.missing { json.element(part) }
        json.endArray()
        let comparing = readiness.uncomparedCampaigns ?? 0
        self.init(
            code: .temporarilyUnavailable, detail: readiness.isEnding ? "The service is shutting down." : "The service is not ready.",
            members: [.json("missing", json.buffer), .integer("comparing", Int64(comparing))],
            headers: [.retryAfter(seconds: 1)])
    }
}

extension Readiness {
    /// What is missing, as answers name it.
    var missing: [String] {
        var missing: [String] = []
        if isEnding { missing.append("draining") }
        if !storeAnswers { missing.append("store") }
        if isRedisForeign {
            missing.append("redis:other-store")
        } else if !redisAnswers {
            missing.append("redis")
        }
        if let unloadedCampaigns { missing += unloadedCampaigns.map { "coupon:\($0)" } } else { missing.append("coupons") }
        if let uncomparedCampaigns, uncomparedCampaigns > 0 { missing.append("claims") }
        return missing
    }
}
