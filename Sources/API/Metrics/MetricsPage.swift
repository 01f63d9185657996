import HTTPServer
import NIOCore
import Services
import Synchronization

/// Renders `/metrics`: the services' numbers, what the routes counted, and the HTTP server's own numbers.
final class MetricsPage: Sendable {
    private let services: CommerceServices
    private let endpoints: [Endpoint]
    /// For each event loop the counters of its routes, in the order of `endpoints`, and a last one for requests that no route answers.
    private let counters: [[RouteCounters]]
    private let server = Mutex(WeakServer())

    /// Weak, because the server retains the API and with it this page.
    private struct WeakServer {
        weak var value: HTTPListener?
    }

    init(services: CommerceServices, endpoints: [Endpoint], counters: [[RouteCounters]]) {
        (self.services, self.endpoints, self.counters) = (services, endpoints, counters)
    }

    /// Adds the numbers of a server, which is made after this page.
    func reportStatistics(of server: HTTPListener) {
        self.server.withLock { $0.value = server }
    }

    /// The server's own numbers; nil before ``reportStatistics(of:)`` and once the server is gone.
    var serverStatistics: HTTPServerStatistics? { server.withLock { $0.value }?.statistics }

    /// The whole page in the Prometheus text format.
    func text() -> ByteBuffer {
        var text = PrometheusText()
        for metric in services.metrics() { text.write(metric) }
        if let statistics = serverStatistics {
            for metric in Self.metrics(of: statistics) { text.write(metric) }
        }
        let totals = routeTotals()
        writeRequests(totals, to: &text)
        writeLatencies(totals, to: &text)
        return text.buffer
    }

    private typealias RouteTotal = (labels: [(name: String, value: String)], total: RouteCounters.Total)

    /// Every route that has been asked for, with the sums over all loops.
    private func routeTotals() -> [RouteTotal] {
        (0...endpoints.count).compactMap { index in
            var total = RouteCounters.Total()
            for loop in counters { loop[index].add(to: &total) }
            guard total.requests > 0 else { return nil }
            guard index < endpoints.count else { return ([("method", ""), ("route", "none")], total) }
            return ([("method", endpoints[index].method.rawValue), ("route", endpoints[index].template)], total)
        }
    }

    private func writeRequests(_ totals: [RouteTotal], to text: inout PrometheusText) {
        let name = "firstcome_http_requests_total"
        text.header(name, "counter", "Answers by route and status class.")
        for (labels, total) in totals {
            for (index, count) in total.statusClasses.enumerated() where count > 0 {
                text.line(name, labels + [("status", "\(index + 2)xx")], String(count))
            }
        }
    }

    private func writeLatencies(_ totals: [RouteTotal], to text: inout PrometheusText) {
        let name = "firstcome_http_request_seconds"
        text.header(name, "histogram", "Time from the last byte of a request to its answer, by route.")
        for (labels, total) in totals {
            var below: Int64 = 0
            for (bound, count) in zip(RouteCounters.boundLabels + ["+Inf"], total.buckets) {
                below += count
                text.line(name + "_bucket", labels + [("le", bound)], String(below))
            }
            text.line(name + "_sum", labels, PrometheusText.text(Double(total.nanoseconds) / 1e9))
            text.line(name + "_count", labels, String(below))
        }
    }

    private static func metrics(of statistics: HTTPServerStatistics) -> [Metric] {
        [
            Metric("firstcome_http_connections", .gauge, "Connections open now.", statistics.openConnections),
            Metric("firstcome_http_requests_in_flight", .gauge, "Requests that wait for an answer now.", statistics.requestsInFlight),
            Metric("firstcome_http_connections_total", .counter, "Connections accepted.", statistics.acceptedConnections),
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
        ]
    }
}
