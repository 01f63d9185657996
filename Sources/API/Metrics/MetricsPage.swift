import Commerce
import Glibc
import HTTPServer
import Histograms
import NIOCore
import Services
import Store
import Synchronization

/// Renders `/metrics`: the services' numbers, what the API counted on each event loop, and the HTTP server's own numbers.
final class MetricsPage: Sendable {
    private let services: CommerceServices
    private let loops: [LoopMetrics]
    private let shedding: [LoadShedding]
    /// The names of each route's lines, in the order of the route table, and of those of requests that no route answers.
    private let routes: [RouteSeries]
    private let tokenKeys: TokenKeys
    /// The places of the routes by which coupons are claimed and orders are paid.
    private let claimRoutes: [Int]
    private let paymentRoutes: [Int]
    private let reporting = Mutex(ReportingParts())

    private static let requests = "firstcome_http_requests_total"
    private static let latencies = "firstcome_http_request_seconds"

    /// The parts of the service that are made after this page.
    private struct ReportingParts {
        var servers: [WeakServer] = []
        var version: String?
    }

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

    init(
        services: CommerceServices, endpoints: [Endpoint], loops: [LoopMetrics], shedding: [LoadShedding], tokenKeys: TokenKeys
    ) {
        (self.services, self.loops, self.shedding, self.tokenKeys) = (services, loops, shedding, tokenKeys)
        claimRoutes = endpoints.indices.filter { endpoints[$0].operationID == "claimCoupon" }
        paymentRoutes = endpoints.indices.filter { ["payOrder", "checkout"].contains(endpoints[$0].operationID) }
        routes =
            endpoints.map { RouteSeries(method: $0.method.rawValue, route: $0.template) } + [RouteSeries(method: "", route: "none")]
    }

    /// Adds the numbers of parts that are made after this page.
    func report(servers: [HTTPListener], version: String?) {
        let parts = ReportingParts(servers: servers.map { WeakServer(value: $0) }, version: version)
        reporting.withLock { $0 = parts }
        services.report(by: makeReporter())
    }

    /// Host and port of the first server, by which services on one store are told apart.
    var serviceName: String {
        let port = reporting.withLock { $0.servers.first?.value?.port } ?? 0
        return "\(Self.hostName):\(port)"
    }

    private static let hostName: String = {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()

    /// Makes the service's reports to the others on its store: each has the rates since the one before.
    func makeReporter() -> @Sendable () -> ServiceReport {
        let before = Mutex((counters: liveCounters(), at: ContinuousClock.now))
        return { [self] in
            let (counters, now) = (liveCounters(), ContinuousClock.now)
            let rates = before.withLock { before in
                defer { before = (counters, now) }
                return LiveRates(from: before.counters, to: counters, seconds: max((now - before.at) / .seconds(1), 0.001))
            }
            return ServiceReport(
                name: serviceName,
                rates: ServiceReport.Rates(
                    claimsWon: rates.claimsWon, claimsRefused: rates.claimsRefused, payments: rates.payments, paid: rates.paid))
        }
    }

    /// The servers' own numbers together; nil before ``report(servers:version:)`` and once the servers are gone.
    var serverStatistics: HTTPServerStatistics? {
        let servers = reporting.withLock { $0.servers.compactMap(\.value) }
        guard let first = servers.first else { return nil }
        return servers.dropFirst().reduce(first.statistics) { $0 + $1.statistics }
    }

    /// The version of the program; nil where it is not known.
    var version: String? { reporting.withLock { $0.version } }

    /// What claims and payments have come to since the start.
    func liveCounters() -> LiveCounters {
        func times(_ places: [Int]) -> HistogramSnapshot {
            var total = RouteCounters.Total()
            for loop in loops {
                for place in places { loop.routes[place].add(to: &total) }
            }
            return total.latencies
        }
        var counters = LiveCounters()
        for loop in loops {
            for outcome in ClaimOutcomes.Outcome.allCases {
                switch outcome {
                case .issued: counters.claimsWon += loop.claims.value(of: outcome)
                case .replayed: break
                case .alreadyClaimed, .soldOut, .notOpen, .closed, .couponNotFound, .userNotFound, .keyReused, .unavailable:
                    counters.claimsRefused += loop.claims.value(of: outcome)
                }
            }
            let paid = loop.payments.total
            counters.payments += paid.payments
            counters.paid += paid.amount
        }
        counters.claimTimes = times(claimRoutes)
        counters.paymentTimes = times(paymentRoutes)
        return counters
    }

    /// The refused tokens of each event loop.
    var tokenRefusals: [TokenRefusals] { loops.map(\.tokens) }

    /// The whole page in the Prometheus text format.
    func text() -> ByteBuffer {
        var text = PrometheusText()
        for metric in partMetrics() + services.metrics() + loopMetrics() + LoadShedding.metrics(shedding) { text.write(metric) }
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

    /// What is constant while the program runs, and what changes when files or the issuer's keys are read again.
    private func partMetrics() -> [Metric] {
        let (certificate, version) = reporting.withLock { parts in
            (parts.servers.lazy.compactMap { $0.value?.certificate }.first, parts.version)
        }
        let versions = (version.map { [$0] } ?? []).map { (labels: [(name: "version", value: $0)], value: 1.0) }
        let reading = tokenKeys.issuer?.lastReading
        return [
            Metric("firstcome_build_info", .gauge, "The version of the program; always 1.", samples: versions),
            Metric(
                "firstcome_tls_certificate_expiry_timestamp_seconds", .gauge, "When the certificate in use ends, in seconds since 1970.",
                certificate?.expiresAt),
            Metric(
                "firstcome_tls_handshake_failures_total", .counter,
                "Connections that ended before TLS had begun, those of clients that hung up included.", certificate?.failedHandshakes),
            Metric(
                "firstcome_key_set_read_timestamp_seconds", .gauge,
                "When the issuer's key set was read successfully last, in seconds since 1970.",
                seconds: reading.map { Double($0.succeededAt.milliseconds) / 1_000 }),
            Metric(
                "firstcome_key_set_readable", .gauge, "Whether the last reading of the issuer's key set succeeded.",
                reading.map { $0.isFailing ? 0 : 1 }),
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
