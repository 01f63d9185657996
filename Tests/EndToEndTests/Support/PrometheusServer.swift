import Foundation
import JSON
import TestSupport
import Testing

/// The programs `prometheus` and `promtool`, which `.ci/prometheus` downloads where they are missing.
enum PrometheusTools {
    /// The files for Prometheus and Grafana.
    static let monitoring = repository + "/Sources/firstcome/Monitoring"

    private static let repository: String = {
        let parts = URL(fileURLWithPath: #filePath).pathComponents
        return NSString.path(withComponents: Array(parts[..<(parts.lastIndex(of: "Tests") ?? 0)]))
    }()

    static func path(of program: String) async throws -> String {
        let output = try await Tool.run(program: [repository + "/.ci/prometheus"])
        guard output.status == 0, let folder = output.lines.last else {
            throw Tool.Missing(description: "no prometheus: \(output.standardError)")
        }
        return folder + "/" + program
    }

    static func promtool(_ arguments: String...) async throws -> Tool.Output {
        try await Tool.run(program: [try await path(of: "promtool")] + arguments)
    }
}

/// A real Prometheus on a free port, which scrapes services once a second and evaluates the alert rules twice as often.
///
/// Its copy of the rules differs from the original in durations alone, which are divided, so that a test need not wait for minutes.
struct PrometheusServer: Sendable {
    private let process: ChildProcess
    private let pool: HTTPPool
    private let api: Caller

    /// Runs `body` with a Prometheus that scrapes the ports.
    ///
    /// - Parameter divisor: by how much the durations of the rules are divided; none gets less than a second.
    static func run(
        scraping ports: Int..., divisor: Int = 60, _ body: (PrometheusServer) async throws -> Void
    ) async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let rules = try String(contentsOfFile: PrometheusTools.monitoring + "/alerts.yml", encoding: .utf8)
        try shortened(rules, by: divisor).write(toFile: folder.path + "/alerts.yml", atomically: true, encoding: .utf8)
        let targets = ports.map { "\"127.0.0.1:\($0)\"" }.joined(separator: ", ")
        try """
        global:
          scrape_interval: 1s
          scrape_timeout: 1s
          evaluation_interval: 500ms
        rule_files: [alerts.yml]
        scrape_configs:
          - job_name: firstcome
            static_configs:
              - targets: [\(targets)]
        """.write(toFile: folder.path + "/prometheus.yml", atomically: true, encoding: .utf8)
        let log = folder.path + "/prometheus.log"
        let process = try await ChildProcess.start(
            [
                try await PrometheusTools.path(of: "prometheus"), "--config.file=\(folder.path)/prometheus.yml",
                "--storage.tsdb.path=\(folder.path)/data", "--web.listen-address=127.0.0.1:0",
            ], errors: .file(log))
        do {
            var port = 0
            try await eventually("Prometheus listens") {
                let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
                port = text.firstMatch(of: #/msg="Listening on" address=127\.0\.0\.1:(\d+)/#).flatMap { Int($0.1) } ?? 0
                guard process.isRunning else { throw Tool.Missing(description: text) }
                return port > 0
            }
            let pool = HTTPPool(port: port, maximumConnections: 2)
            let server = PrometheusServer(process: process, pool: pool, api: Caller(pool: pool))
            try await eventually("every service is scraped and ready") {
                try await server.number("sum(up) + sum(firstcome_ready)") == Double(2 * ports.count)
            }
            try await body(server)
            await pool.close()
        } catch {
            await process.end()
            throw error
        }
        await process.end()
    }

    /// The rules with every duration divided: after `for:`, in brackets, and after `offset`.
    static func shortened(_ rules: String, by divisor: Int) -> String {
        rules.replacing(#/(for: |\[|offset )(\d+)([smh])/#) { match in
            let seconds = (Int(match.2) ?? 0) * (match.3 == "h" ? 3_600 : match.3 == "m" ? 60 : 1)
            // A rate needs two samples, of which there is one a second, or fewer on a busy machine.
            let least = match.1 == "for: " ? 1_000 : 5_000
            return "\(match.1)\(max(least, seconds * 1_000 / divisor))ms"
        }
    }

    /// The value of an expression with one result; nil where it has none.
    func number(_ expression: String) async throws -> Double? {
        let query = expression.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        // Nothing is answered before the storage is open.
        let answer = try await api.get("/api/v1/query?query=\(query)")
        guard answer.status == 200, let result = try answer.json()["data"]?["result"]?.elements else { return nil }
        return result.first?["value"]?.elements?.last?.string.flatMap(Double.init)
    }

    /// Whether the alert fires now.
    func fires(_ alert: String) async throws -> Bool {
        try await number("count(ALERTS{alertname=\"\(alert)\",alertstate=\"firing\"})") ?? 0 > 0
    }

    /// Whether the alert has fired at any time.
    private func hasFired(_ alert: String) async throws -> Bool {
        try await number("count(max_over_time(ALERTS{alertname=\"\(alert)\",alertstate=\"firing\"}[1h]))") ?? 0 > 0
    }

    /// Waits until each of the alerts has fired, none of which has before.
    ///
    /// - Parameters:
    ///   - breaking: what is repeated until then, because some alerts are about a rate.
    ///   - cause: what is done once, first.
    func expect(_ alerts: String..., while breaking: () async throws -> Void = {}, after cause: () async throws -> Void = {}) async throws {
        for alert in alerts { #expect(try await !hasFired(alert), "\(alert) fires in a service that is well") }
        try await cause()
        var missing = alerts
        do {
            try await eventually("alerts fire") {
                try await breaking()
                for alert in missing where try await hasFired(alert) { missing.removeAll { $0 == alert } }
                return missing.isEmpty
            }
        } catch let error as NotInTime {
            Issue.record("\(missing) did not fire: \(error)")
        }
    }
}
