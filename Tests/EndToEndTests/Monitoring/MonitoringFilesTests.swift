import Foundation
import JSON
import NIOCore
import TestSupport
import Testing

extension EndToEnd {
    @Suite("The files for Prometheus and Grafana", .sharedService)
    struct MonitoringFilesTests {}
}

extension EndToEnd.MonitoringFilesTests {
    private static func text(_ file: String) throws -> String {
        try String(contentsOfFile: "\(PrometheusTools.monitoring)/\(file)", encoding: .utf8)
    }

    private static func withFile(_ text: String, _ name: String, _ body: (String) async throws -> Void) async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        try text.write(toFile: "\(folder.path)/\(name)", atomically: true, encoding: .utf8)
        try await body("\(folder.path)/\(name)")
    }

    /// Checks the page of a service with `promtool check metrics`, which reads it from standard input.
    private static func check(_ page: String) async throws {
        try await withFile(page, "metrics.txt") { path in
            let promtool = try await PrometheusTools.path(of: "promtool")
            let output = try await Tool.run(program: ["sh", "-c", #""$0" check metrics < "$1""#, promtool, path])
            #expect(output.status == 0 && output.standardError.isEmpty && output.standardOutput.isEmpty, "\(output)")
        }
    }

    @Test("promtool finds nothing wrong with the metrics of a service that has not been used, nor with those of one that has")
    func metrics() async throws {
        try await LiveService.run { try await Self.check(try await $0.guest.get("/metrics").expect(200).text) }
        let live = try service
        let user = try await live.newUser(balance: 100_000)
        let (coupon, product) = (try await live.admin.makeCoupon(), try await live.admin.makeProduct())
        _ = try await user.claim(coupon).expect(201)
        _ = try await user.checkout(product).expect(201)
        _ = try await live.guest.get("/users/1").expect(401)
        _ = try await live.guest.get("/nothing").expect(404)
        try await Self.check(try await live.guest.get("/metrics").expect(200).text)
    }

    @Test("every series is on the page once, every histogram rises and ends with +Inf, and every metric has its help")
    func series() async throws {
        _ = try await service.guest.get("/products").expect(200)
        let lines = try await service.guest.get("/metrics").expect(200).text.split(separator: "\n")
        let samples = lines.filter { !$0.hasPrefix("#") }
        let series = samples.map(Self.sample)
        #expect(Set(series.map { $0.name }).count == series.count)
        let values = Dictionary(uniqueKeysWithValues: series)
        var histograms = 0
        for (name, value) in values where name.contains("_bucket") && name.contains(#"le="+Inf""#) {
            histograms += 1
            let count = name.replacing("_bucket", with: "_count").replacing(#/,?le="\+Inf"/#, with: "").replacing("{}", with: "")
            #expect(values[count] == value, "\(name)")
        }
        #expect(histograms >= 6)
        var before = (series: "", value: -1.0)
        for (name, value) in series where name.contains("_bucket") {
            let histogram = String(name.replacing(#/le="[^"]*"/#, with: ""))
            if histogram == before.series { #expect(value >= before.value, "\(name)") }
            before = (histogram, value)
        }
        let types = lines.filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ")[2] }
        let helps = lines.filter { $0.hasPrefix("# HELP ") }.map { $0.split(separator: " ")[2] }
        #expect(types == helps && Set(types).count == types.count)
    }

    /// A series and its value, which follows the last space.
    private static func sample(_ line: Substring) -> (name: String, value: Double) {
        let name = line.prefix(upTo: line.lastIndex(of: " ") ?? line.endIndex)
        return (String(name), Double(line.dropFirst(name.count + 1)) ?? .nan)
    }

    @Test("the alert rules and the example configuration are valid")
    func rules() async throws {
        let rules = try await PrometheusTools.promtool("check", "rules", "\(PrometheusTools.monitoring)/alerts.yml")
        #expect(rules.status == 0, "\(rules)")
        let configuration = try await PrometheusTools.promtool("check", "config", "\(PrometheusTools.monitoring)/prometheus.yml")
        #expect(configuration.status == 0, "\(configuration)")
    }

    @Test("the alert rules pass their unit tests, and each of them has one that fires and one that does not")
    func ruleTests() async throws {
        let output = try await PrometheusTools.promtool("test", "rules", "\(PrometheusTools.monitoring)/alerts-test.yml")
        #expect(output.status == 0, "\(output)")
        let tests = try Self.text("alerts-test.yml")
        for alert in try Self.alerts() {
            let cases = tests.matches(of: try Regex("alertname: \(alert)\\n *exp_alerts:( \\[\\])?"))
            #expect(cases.contains { $0.output[1].range == nil }, "\(alert) is never expected to fire")
            #expect(cases.contains { $0.output[1].range != nil }, "\(alert) is never expected to be silent")
        }
    }

    private static func alerts() throws -> [String] {
        let names = try text("alerts.yml").matches(of: #/- alert: (\w+)/#).map { String($0.1) }
        #expect(names.count > 15 && Set(names).count == names.count)
        return names
    }

    @Test("each alert is made to fire in a running service, and is in the guide for operators")
    func alertsTried() throws {
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let tests = try String(contentsOf: here.appending(path: "AlertTests.swift"), encoding: .utf8)
        let guide = try Self.text("../Firstcome.docc/Operating.md")
        for alert in try Self.alerts() {
            #expect(tests.contains("\"\(alert)\""), "no test makes \(alert) fire")
            #expect(guide.contains("`\(alert)`"), "the guide does not say what to do about \(alert)")
        }
        let named = Set(guide.matches(of: #/`(Firstcome[A-Z]\w+)`/#).map { String($0.1) })
        #expect(named.subtracting(try Self.alerts()).isEmpty, "only in the guide")
    }

    @Test("the tests' copy of the rules has other durations, and is otherwise the same")
    func shortened() throws {
        let rules = try Self.text("alerts.yml")
        let copy = PrometheusServer.shortened(rules, by: 60)
        let duration = #/(for: |\[|offset )\d+(ms|s|m|h)/#
        #expect(copy != rules && copy.replacing(duration, with: "") == rules.replacing(duration, with: ""))
        #expect(!copy.contains(#/(for: |\[|offset )\d+[smh]\b/#))
    }

    /// The names of the metrics in PromQL expressions.
    private static func metrics(in text: String) -> Set<String> {
        Set(
            text.matches(of: #/\b((?:firstcome|process)_[a-z_]*[a-z])\b/#).map {
                String($0.1.replacing(#/_(bucket|sum|count)$/#, with: ""))
            })
    }

    private static func metricsOfPage() async throws -> Set<String> {
        Set(try await service.guest.get("/metrics").expect(200).text.matches(of: #/(?m)^# TYPE (\w+) /#).map { String($0.1) })
    }

    @Test("the alert rules name no metric that there is not")
    func ruleMetrics() async throws {
        let rules = try Self.text("alerts.yml")
        let expressions = rules.replacing(#/(?m)^ +(description|summary): .*$/#, with: "")
        let named = Self.metrics(in: expressions)
        let missing = named.subtracting(try await Self.metricsOfPage())
        #expect(named.count > 15 && missing.isEmpty, "\(missing)")
    }

    // MARK: - The dashboard

    private static func dashboard() throws -> JSONValue { try JSONParser.parse(ByteBuffer(string: try text("dashboard.json"))) }

    /// Every expression of the dashboard, with the variables replaced as Grafana does.
    private static func panelExpressions() throws -> [String] {
        let panels = try #require(try dashboard()["panels"]?.elements)
        return panels.flatMap { $0["targets"]?.elements ?? [] }.compactMap { $0["expr"]?.string }.map {
            $0.replacing("$__rate_interval", with: "1m").replacing("$job", with: "firstcome").replacing("$instance", with: ".*")
        }
    }

    @Test("each expression of the dashboard is valid, and the dashboard shows every metric and no others")
    func expressions() async throws {
        let expressions = try Self.panelExpressions()
        #expect(expressions.count > 40)
        let rules = expressions.enumerated().map { "      - record: panel_\($0.offset)\n        expr: '\($0.element)'\n" }.joined()
        try await Self.withFile("groups:\n  - name: dashboard\n    rules:\n" + rules, "rules.yml") { path in
            let output = try await PrometheusTools.promtool("check", "rules", path)
            #expect(output.status == 0, "\(output)")
        }
        let (shown, all) = (Self.metrics(in: expressions.joined(separator: "\n")), try await Self.metricsOfPage())
        #expect(shown.subtracting(all).isEmpty, "there is no such metric: \(shown.subtracting(all))")
        // Its number is of no use in a picture.
        let absent = all.subtracting(shown).subtracting(["firstcome_claim_calls_total"])
        #expect(absent.isEmpty, "not on the dashboard: \(absent)")
        #expect(!expressions.contains { $0.contains("$") })
    }

    @Test("the dashboard is one that Grafana takes: a variable for the data source, numbered panels that do not overlap, units")
    func dashboardShape() throws {
        let dashboard = try Self.dashboard()
        let version = dashboard["schemaVersion"]?.int ?? 0
        #expect(dashboard["title"]?.string == "Firstcome" && version >= 36)
        let variables = try #require(dashboard["templating"]?["list"]?.elements)
        #expect(variables.map { $0["name"]?.string } == ["datasource", "job", "instance"])
        #expect(variables[0]["type"]?.string == "datasource" && variables[0]["query"]?.string == "prometheus")
        let panels = try #require(dashboard["panels"]?.elements)
        #expect(Set(panels.compactMap { $0["id"]?.int }).count == panels.count)
        var taken: Set<[Int64]> = []
        for panel in panels {
            let title = try #require(panel["title"]?.string)
            let place = try #require(panel["gridPos"])
            let (x, y, w, h) = (
                try #require(place["x"]?.int), try #require(place["y"]?.int), try #require(place["w"]?.int), try #require(place["h"]?.int)
            )
            #expect(x >= 0 && w > 0 && x + w <= 24, "\(title)")
            for column in x..<(x + w) {
                for line in y..<(y + h) { #expect(taken.insert([column, line]).inserted, "\(title) overlaps") }
            }
            let kind = panel["type"]?.string ?? ""
            guard kind != "row" else { continue }
            let (description, unit) = (
                panel["description"]?.string ?? "", panel["fieldConfig"]?["defaults"]?["unit"]?.string ?? ""
            )
            #expect(["timeseries", "stat"].contains(kind) && description.hasSuffix(".") && !unit.isEmpty, "\(title)")
            let targets = try #require(panel["targets"]?.elements)
            #expect(!targets.isEmpty, "\(title)")
            for part in [panel] + targets {
                let source = part["datasource"]
                #expect(source?["uid"]?.string == "${datasource}" && source?["type"]?.string == "prometheus", "\(title)")
            }
        }
    }
}
