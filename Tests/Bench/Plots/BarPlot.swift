import Foundation

/// Horizontal bars, several for each row, such as the cost of a request here and at a peer. Each bar is labelled with its value and
/// its name.
package struct BarPlot: Plot {
    package struct Bar: Sendable {
        /// What the bar stands for, such as `firstcome` or `webdis`.
        package var name: String
        package var value: Double
        /// From the least to the greatest measurement.
        package var spread: ClosedRange<Double>?

        package init(_ name: String, _ value: Double, spread: ClosedRange<Double>? = nil) {
            (self.name, self.value, self.spread) = (name, value, spread)
        }

        /// Where its label may begin.
        fileprivate var end: Double { max(value, spread?.upperBound ?? value) }
    }

    package struct Row: Sendable {
        package var name: String
        package var bars: [Bar]

        package init(_ name: String, _ bars: [Bar]) { (self.name, self.bars) = (name, bars) }
    }

    package var title: String
    package var valueLabel: String
    package var rows: [Row]
    package var width = 860

    package init(title: String, valueLabel: String, rows: [Row]) {
        (self.title, self.valueLabel, self.rows) = (title, valueLabel, rows)
    }
}

extension BarPlot {
    /// The distance between the middles of two bars of one row.
    private static let step = 1.0
    /// The gap between two rows.
    private static let gap = 0.7
    private static let barHeightInPoints = 22.0

    package var size: (width: Int, height: Int) { (width, Int(extent * Self.barHeightInPoints) + 90) }

    private var extent: Double { rows.reduce(0) { $0 + Double($1.bars.count) * Self.step + Self.gap } }

    package var commands: String {
        var (ticks, ours, peers, spreads): ([String], [String], [String], [String]) = ([], [], [], [])
        var y = 0.0
        for row in rows {
            ticks.append("\(row.name.quoted) \(y + Double(row.bars.count - 1) * Self.step / 2)")
            for (index, bar) in row.bars.enumerated() {
                let line = "\(bar.value) \(y) \(bar.end) \(label(bar).doubleQuoted)"
                if index == 0 { ours.append(line) } else { peers.append(line) }
                if let spread = bar.spread { spreads.append("\(bar.value) \(y) \(spread.lowerBound) \(spread.upperBound)") }
                y += Self.step
            }
            y += Self.gap
        }
        var (blocks, parts): ([String], [String]) = ([], [])
        for (name, lines, color) in [("$ours", ours, PlotStyle.color(0)), ("$peers", peers, "#c3c8d0")] where !lines.isEmpty {
            blocks.append("\(name) << END\n\(lines.joined(separator: "\n"))\nEND")
            parts.append("\(name) using (0):2:(0):1:($2-0.42):($2+0.42) with boxxyerror fillstyle solid noborder linecolor rgb '\(color)'")
            parts.append("\(name) using 3:2:4 with labels left offset 0.8,0 textcolor rgb '#111827'")
        }
        if !spreads.isEmpty {
            blocks.append("$spreads << END\n\(spreads.joined(separator: "\n"))\nEND")
            parts.append("$spreads using 1:2:3:4 with xerrorbars linecolor rgb '#6b7280' pointtype 7 pointsize 0.3")
        }
        let settings = [
            "set format x '\(rightEnd >= 2_000 ? "%.0s%c" : "%g")'", "set title \(title.quoted)", "set xlabel \(valueLabel.quoted)",
            "unset key",
            "set xrange [0:\(rightEnd)]", "set yrange [\(y - Self.gap):\(-Self.step)]", "unset grid",
            "set grid xtics linecolor '#e5e7eb' linetype 1", "set ytics scale 0 (\(ticks.joined(separator: ", ")))", "set border 1",
        ]
        return (settings + blocks + ["plot " + parts.joined(separator: ", \\\n  ")]).joined(separator: "\n")
    }

    private func label(_ bar: Bar) -> String {
        let value = bar.value >= 1_000 ? Int(bar.value.rounded()).formatted(.number.locale(Locale(identifier: "en_US"))) : number(bar.value)
        return "\(value)  \(bar.name)"
    }

    /// Three digits.
    private func number(_ value: Double) -> String { String(format: "%.\(value >= 100 ? 0 : value >= 10 ? 1 : 2)f", value) }

    /// The end of the axis, far enough to the right that every bar's label fits.
    private var rightEnd: Double {
        let names = Double(rows.map(\.name.count).max() ?? 0) * PlotStyle.characterWidth
        let plotWidth = max(Double(width) - names - 40, 100)
        let ends = rows.flatMap(\.bars).map { bar in
            bar.end / max(1 - (Double(label(bar).count) * PlotStyle.characterWidth + 12) / plotWidth, 0.1)
        }
        return max(ends.max() ?? 1, .leastNonzeroMagnitude)
    }
}

extension String {
    /// The text as a field of a data block, which would end at a space without double quotes.
    fileprivate var doubleQuoted: String { "\"" + filter { $0 != "\"" && $0 != "\\" && !$0.isNewline } + "\"" }
}
