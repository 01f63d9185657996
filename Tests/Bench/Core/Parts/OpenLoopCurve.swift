package import LoadGenerator

/// Latencies of one kind of request at several rates.
package struct OpenLoopCurve: Codable, Sendable {
    package let title: String
    /// Requests a second in a closed loop just before, which the shares refer to.
    package let maximum: Double
    package var points: [OpenLoopPoint] = []

    package init(title: String, maximum: Double) { (self.title, self.maximum) = (title, maximum) }

    var problems: [String] { points.flatMap { point in point.problems.map { "open loop, \(title), \($0)" } } }
}

package struct OpenLoopPoint: Codable, Sendable {
    /// The rate as a share of the maximum.
    package let share: Double
    /// The only status that is expected.
    package let expected: Int
    package let result: OpenLoopResult

    package init(share: Double, expected: Int, result: OpenLoopResult) {
        (self.share, self.expected, self.result) = (share, expected, result)
    }

    var line: String {
        let latency = result.latency
        let percentiles = [latency.p50, latency.p99, latency.p999, latency.max].map(Figure.milliseconds).joined(separator: " / ")
        let warning = result.generator.keptUp ? "" : ", the generator did not keep up"
        return "\(Figure.count(result.achievedRate))/s, p50 / p99 / p99.9 / max \(percentiles) ms\(warning)"
    }

    /// What makes the point a failure. A late generator is none, because it only makes latencies longer; the table shows it.
    var problems: [String] {
        let wrong = result.statuses.filter { $0.key != expected }
        var problems: [String] = []
        if !wrong.isEmpty { problems.append("\(Int(share * 100)) %: answers \(wrong)") }
        if !result.errors.isEmpty { problems.append("\(Int(share * 100)) %: \(result.errors)") }
        return problems
    }
}

extension Report {
    package var openLoopTable: String {
        var table = Table(
            [
                "Requests", "of maximum", "asked/s", "answered/s", "p50, ms", "p90, ms", "p99, ms", "p99.9, ms", "max, ms",
                "load generator",
            ], numeric: 1...8)
        for curve in findings.openLoop {
            for point in curve.points {
                let (result, latency) = (point.result, point.result.latency)
                table.add(
                    [
                        curve.title, "\(Int(point.share * 100)) %", Figure.count(result.askedRate), Figure.count(result.achievedRate),
                    ] + [latency.p50, latency.p90, latency.p99, latency.p999, latency.max].map(Figure.milliseconds) + [
                        result.generator.keptUp ? "kept up" : "late: p99 \(Figure.milliseconds(result.generator.lateness.p99)) ms"
                    ])
            }
        }
        return table.text
    }

    /// The targets at half of the maximum.
    var openLoopTargets: [TargetResult] {
        findings.openLoop.flatMap { curve in
            let half = curve.points.first { $0.share == 0.5 }?.result.latency
            let name = "open loop at 50 %: \(curve.title)"
            return [
                Target(name, "p99, ms", .atMost, 10, stretch: 5).judge(half.map { $0.p99 / 1_000 }),
                Target(name, "p99.9, ms", .atMost, 25, stretch: 10).judge(half.map { $0.p999 / 1_000 }),
            ]
        }
    }
}
