/// What the API counts on one event loop.
final class LoopMetrics: Sendable {
    /// One for each route, in the order of the route table, and a last one for requests that no route answers.
    let routes: [RouteCounters]
    let claims = ClaimOutcomes()
    let payments = PaymentTotals()
    let tokens = TokenRefusals()

    init(routeCount: Int) { routes = (0...routeCount).map { _ in RouteCounters() } }
}
