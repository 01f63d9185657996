import HTTPServer
import Histograms
import NIOCore
import Services
import Synchronization

/// Renders `/metrics`: the services' numbers, what the API counted on each event loop, and the HTTP server's own numbers.
final class MetricsPage: Sendable {
    private let services: CommerceServices
    private let loops: [LoopMetrics]
    private let shedding: [LoadShedding]
    /// The names of each route's lines, in the order of the route table, and of those of requests that no route answers.
    private let routes: [RouteSeries]
    private let server = Mutex(WeakServer())

    private static let requests = "firstcome_http_requests_total"
    private static let latencies = "firstcome_http_request_seconds"

    /// Weak, because the server retains the API and with it this page.
    private struct WeakServer {
        weak var value: HTTPListener?
    }

    private struct RouteSeries {
        /// By the places of ``AnswerCode``.
        let codes: [String]
        let latencies: HistogramSeries

        init(method: String, route: String) {
            let labels = [("method", method), ("route", route)]
            codes = (0..<AnswerCode.places).map { PrometheusText.series(requests, labels + [("code", AnswerCode.label($0))]) }
            latencies = HistogramSeries(MetricsPage.latencies, labels, .times)
        }
    }

    init(services: CommerceServices, endpoints: [Endpoint], loops: [LoopMetrics], shedding: [LoadShedding]) {
        (self.services, self.loops, self.shedding) = (services, loops, shedding)
        routes =
            endpoints.map { RouteSeries(method: $0.method.rawValue, route: $0.template) } + [RouteSeries(method: "", route: "none")]
    }

    /// Adds the numbers of a server, which is made after this page.
    func reportStatistics(of server: HTTPListener) {
        self.server.withLock { $0.value = server }
    }

    /// The server's own numbers; nil before ``reportStatistics(of:)`` and once the server is gone.
    var serverStatistics: HTTPServerStatistics? { server.withLock { $0.value }?.statistics }

    /// The refused tokens of each event loop.
    var tokenRefusals: [TokenRefusals] { loops.map(\.tokens) }

    /// The whole page in the Prometheus text format.
    func text() -> ByteBuffer {
        var text = PrometheusText()
        for metric in services.metrics() + loopMetrics() + LoadShedding.metrics(shedding) { text.write(metric) }
        if let statistics = serverStatistics {
            for metric in Self.metrics(of: statistics) { text.write(metric) }
        }
        writeRoutes(to: &text)
        return text.buffer
    }

    /// Every route's answers and, of those that have been asked for, their latencies.
    private func writeRoutes(to text: inout PrometheusText) {
        let totals = routes.indices.map { index in
            var total = RouteCounters.Total()
            for loop in loops { loop.routes[index].add(to: &total) }
            return total
        }
        text.header(Self.requests, "counter", "Answers by route and status code.")
        // Internal errors and refusals for want of something are there from the start: an alert on their rate would miss the first one,
        // where a series begins with it.
        let alwaysShown = Set([500, 503].map(AnswerCode.place))
        for (series, total) in zip(routes, totals) {
            for (place, count) in total.codes.enumerated() where count > 0 || alwaysShown.contains(place) {
                text.line(series.codes[place], String(count))
            }
        }
        text.header(Self.latencies, "histogram", "Time from the last byte of a request to its answer, by route.")
        for (series, total) in zip(routes, totals) where total.requests > 0 { text.write(total.latencies, series.latencies) }
    }

    private func loopMetrics() -> [Metric] {
        [
            Metric(
                "firstcome_claims_total", .counter, "Claims by outcome, decided by the gate or answered from memory.",
                samples: ClaimOutcomes.Outcome.allCases.map { outcome in
                    ([("outcome", outcome.label)], Double(loops.reduce(0) { $0 + $1.claims.value(of: outcome) }))
                }),
            Metric(
                "firstcome_tokens_refused_total", .counter, "Requests refused because of their token, by reason.",
                samples: TokenRefusals.Reason.allCases.map { reason in
                    ([("reason", reason.label)], Double(loops.reduce(0) { $0 + $1.tokens.count(of: reason) }))
                }),
        ]
    }

    private static func metrics(of statistics: HTTPServerStatistics) -> [Metric] {
        [
            Metric("firstcome_http_connections", .gauge, "Connections open now.", statistics.openConnections),
            Metric("firstcome_http_requests_in_flight", .gauge, "Requests that wait for an answer now.", statistics.requestsInFlight),
            Metric("firstcome_http_connections_accepted_total", .counter, "Connections accepted.", statistics.acceptedConnections),
            Metric(
                "firstcome_http_connections_refused_total", .counter, "Connections refused at the limit.", statistics.refusedConnections),
            Metric(
                "firstcome_http_accept_failures_total", .counter,
                "Times that a connection could not be accepted for want of descriptors or memory.", statistics.acceptFailures),
            Metric("firstcome_http_requests_refused_total", .counter, "Requests answered 429 at the limit.", statistics.refusedRequests),
            Metric(
                "firstcome_http_requests_rejected_total", .counter, "Requests that were malformed, too large or too slow.",
                statistics.rejectedRequests),
            Metric(
                "firstcome_access_log_dropped_total", .counter, "Requests missing from the access log, which could not be written in time.",
                statistics.accessLogDropped),
            Metric(
                "firstcome_event_loop_lag_seconds",
                "How late a timer of an event loop ran, which is how long the loop did something else; measured while connections are open.",
                statistics.loopLag),
        ]
    }
}
