import HTTPServer
import NIOCore
import Services

extension FirstcomeAPI {
    /// The whole answer of `/metrics`: the services' numbers, what the routes counted, and the HTTP server's own numbers.
    func metrics() -> ByteBuffer {
        var text = PrometheusText()
        for metric in services.metrics() { text.write(metric) }
        if let statistics = serverStatistics {
            for metric in FirstcomeAPI.metrics(of: statistics) { text.write(metric) }
        }
        let totals = routeTotals()
        writeRequests(totals, to: &text)
        writeLatencies(totals, to: &text)
        return text.buffer
    }

    private typealias RouteTotal = (labels: [(name: String, value: String)], total: RouteCounters.Total)

    /// Every route that has been asked for, with the sums over all loops.
    private func routeTotals() -> [RouteTotal] {
        let routes = RouteTable.routes
        return (0...routes.count).compactMap { index in
            var total = RouteCounters.Total()
            for loop in loops { loop.counters[index].add(to: &total) }
            guard total.requests > 0 else { return nil }
            guard index < routes.count else { return ([("method", ""), ("route", "none")], total) }
            return ([("method", routes[index].method.rawValue), ("route", routes[index].template)], total)
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
                "firstcome_http_connections_refused_total", .counter, "Connections refused at the bound.", statistics.refusedConnections),
            Metric(
                "firstcome_http_accept_failures_total", .counter,
                "Times that a connection could not be accepted for want of descriptors or memory.", statistics.acceptFailures),
            Metric("firstcome_http_requests_refused_total", .counter, "Requests answered 429 at the bound.", statistics.refusedRequests),
            Metric(
                "firstcome_http_requests_rejected_total", .counter, "Requests that were malformed, too large or too slow.",
                statistics.rejectedRequests),
        ]
    }
}
