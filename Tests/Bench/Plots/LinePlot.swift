import Foundation

/// Lines through points: latencies over the rate, costs over growth.
package struct LinePlot: Plot {
    package enum Scale: Sendable { case linear, logarithmic }

    package struct Point: Sendable {
        package var x: Double
        package var y: Double
        /// From the least to the greatest of what was measured there.
        package var spread: ClosedRange<Double>?

        package init(_ x: Double, _ y: Double, spread: ClosedRange<Double>? = nil) { (self.x, self.y, self.spread) = (x, y, spread) }
    }

    package struct Series: Sendable {
        package var name: String
        package var points: [Point]

        package init(_ name: String, _ points: [Point]) { (self.name, self.points) = (name, points) }
    }

    package var title: String
    package var xLabel: String
    package var yLabel: String
    package var xScale = Scale.linear
    package var yScale = Scale.linear
    package var series: [Series]
    package var size = (width: 860, height: 460)

    package init(
        title: String, xLabel: String, yLabel: String, xScale: Scale = .linear, yScale: Scale = .linear, series: [Series]
    ) {
        (self.title, self.xLabel, self.yLabel) = (title, xLabel, yLabel)
        (self.xScale, self.yScale, self.series) = (xScale, yScale, series)
    }
}

extension LinePlot {
    package var commands: String {
        var lines = [
            "set title \(title.quoted)", "set xlabel \(xLabel.quoted)", "set ylabel \(yLabel.quoted)",
            "set offsets graph 0.02, graph 0.02, 0, 0",
        ]
        lines += axis("x", xScale) + axis("y", yScale)
        if let zeroPlace { lines.append("set xtics add ('0' \(zeroPlace))") }
        lines += series.indices.map { block($0) }
        let parts = series.enumerated().flatMap { index, series in
            let color = "linecolor rgb '\(Palette.color(index))'"
            let line = "using 1:2 with linespoints title \(series.name.quoted) \(color) linewidth 2 pointtype 7 pointsize 0.6"
            let spread = "using 1:2:3:4 with yerrorbars notitle \(color) pointtype 7 pointsize 0.6"
            let hasSpread = series.points.contains { $0.spread != nil }
            return (hasSpread ? [line, spread] : [line]).map { "$series\(index) \($0)" }
        }
        lines.append("plot " + parts.joined(separator: ", \\\n  "))
        return lines.joined(separator: "\n")
    }

    /// 0 has no place on a logarithmic axis, yet growth begins there: it is drawn one decade below the smallest other point.
    private var zeroPlace: Double? {
        let all = series.flatMap(\.points).map(\.x)
        guard xScale == .logarithmic, all.contains(0) else { return nil }
        return (all.filter { $0 > 0 }.min() ?? 1) / 10
    }

    private func axis(_ name: String, _ scale: Scale) -> [String] {
        switch scale {
        // Costs are compared by their heights, which an axis that begins elsewhere would exaggerate.
        case .linear: name == "y" ? ["set yrange [0:*]"] : []
        // Counts grow as 10k, 1M; latencies are read as 0.1, 1, 10.
        case .logarithmic: ["set logscale \(name)", "set format \(name) '\(name == "x" ? "%.0s%c" : "%g")'"]
        }
    }

    private func block(_ index: Int) -> String {
        let rows = series[index].points.map { point in
            let x = point.x == 0 ? zeroPlace ?? 0 : point.x
            let spread = point.spread ?? point.y...point.y
            return "\(x) \(point.y) \(spread.lowerBound) \(spread.upperBound)"
        }
        return "$series\(index) << END\n\(rows.joined(separator: "\n"))\nEND"
    }
}
