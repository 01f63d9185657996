import Foundation

/// Lines through points: latencies over the rate, costs over growth.
package struct LinePlot: Plot {
    package enum Scale: Sendable { case linear, logarithmic }

    package struct Point: Sendable {
        package var x: Double
        package var y: Double
        /// From the least to the greatest measurement at this point.
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
    /// The range of the axis; nil for one that fits the points.
    package var xRange: ClosedRange<Double>?
    package var yRange: ClosedRange<Double>?
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
    /// The powers of ten around all values that are greater than 0; nil without such values.
    package static func decades(around values: [Double]) -> ClosedRange<Double>? {
        let positive = values.filter { $0 > 0 }
        guard let least = positive.min(), let greatest = positive.max() else { return nil }
        let (low, high) = (pow(10, log10(least).rounded(.down)), pow(10, log10(greatest).rounded(.up)))
        return low...max(high, low * 10)
    }

    package var commands: String {
        var lines = [
            "set title \(title.quoted)", "set xlabel \(xLabel.quoted)", "set ylabel \(yLabel.quoted)",
            "set offsets graph 0.02, graph 0.02, 0, 0", "set autoscale xfix",
        ]
        // Without names there is no legend.
        if series.allSatisfy(\.name.isEmpty) { lines.append("unset key") }
        lines += axis("x", xScale) + axis("y", yScale)
        if let xRange { lines.append("set xrange [\(xRange.lowerBound):\(xRange.upperBound)]") }
        if let yRange { lines.append("set yrange [\(yRange.lowerBound):\(yRange.upperBound)]") }
        if let zeroPlace { lines.append("set xtics add ('0' \(zeroPlace))") }
        lines += series.indices.map { block($0) }
        let parts = series.enumerated().flatMap { index, series in
            let style = "linecolor rgb '\(PlotStyle.color(index))' pointtype \(PlotStyle.marker(index)) pointsize 0.7"
            let line = "using 1:2 with linespoints title \(series.name.quoted) \(style) linewidth 2 dashtype \(index + 1)"
            let spread = "using 1:2:3:4 with yerrorbars notitle \(style)"
            let hasSpread = series.points.contains { $0.spread != nil }
            return (hasSpread ? [line, spread] : [line]).map { "$series\(index) \($0)" }
        }
        lines.append("plot " + parts.joined(separator: ", \\\n  "))
        return lines.joined(separator: "\n")
    }

    /// Where 0 is drawn on a logarithmic axis, which has no 0: one decade below the smallest other point.
    private var zeroPlace: Double? {
        let all = series.flatMap(\.points).map(\.x)
        guard xScale == .logarithmic, all.contains(0) else { return nil }
        return (all.filter { $0 > 0 }.min() ?? 1) / 10
    }

    private var greatest: Double { series.flatMap(\.points).map { $0.spread?.upperBound ?? $0.y }.max() ?? 0 }

    private func axis(_ name: String, _ scale: Scale) -> [String] {
        switch scale {
        // Costs are compared by their heights, which an axis that begins elsewhere would exaggerate.
        case .linear: name == "y" ? ["set yrange [0:*]"] + (greatest >= 10_000 ? ["set format y '%.0s%c'"] : []) : []
        // Counts grow as 10k, 1M; latencies are read as 0.1, 1, 10.
        case .logarithmic: ["set logscale \(name)", "unset m\(name)tics", "set format \(name) '\(name == "x" ? "%.0s%c" : "%g")'"]
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
