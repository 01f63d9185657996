import Foundation

/// Horizontal bars, some for each row: what a request costs here and at its peer.
package struct BarPlot: Plot {
    package struct Bar: Sendable {
        /// What the bar stands for, such as `firstcome` or `webdis`; bars of one name have one colour.
        package var name: String
        package var value: Double
        /// From the least to the greatest of what was measured.
        package var spread: ClosedRange<Double>?

        package init(_ name: String, _ value: Double, spread: ClosedRange<Double>? = nil) {
            (self.name, self.value, self.spread) = (name, value, spread)
        }

        /// Where its value may be written.
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
    /// Between the middles of two bars of one row.
    private static let step = 1.0
    /// Between the rows.
    private static let gap = 0.7
    private static let barHeightInPoints = 22.0

    package var size: (width: Int, height: Int) { (width, Int(extent * Self.barHeightInPoints) + 110) }

    private var extent: Double { rows.reduce(0) { $0 + Double($1.bars.count) * Self.step + Self.gap } }

    package var commands: String {
        var (ticks, blocks, parts): ([String], [String], [String]) = ([], [], [])
        var (bars, spreads): ([String: [String]], [String: [String]]) = ([:], [:])
        var y = 0.0
        for row in rows {
            ticks.append("\(row.name.quoted) \(y + Double(row.bars.count - 1) * Self.step / 2)")
            for bar in row.bars {
                bars[bar.name, default: []].append("\(bar.value) \(y) \(bar.end)")
                if let spread = bar.spread {
                    spreads[bar.name, default: []].append("\(bar.value) \(y) \(spread.lowerBound) \(spread.upperBound)")
                }
                y += Self.step
            }
            y += Self.gap
        }
        for (index, name) in names.enumerated() {
            blocks.append("$bars\(index) << END\n\((bars[name] ?? []).joined(separator: "\n"))\nEND")
            parts.append(
                "$bars\(index) using (0):2:(0):1:($2-0.42):($2+0.42) with boxxyerror title \(name.quoted) fillstyle solid noborder "
                    + "linecolor rgb '\(Palette.color(index))'")
            parts.append("$bars\(index) using 3:2:(sprintf('%.3g', $1)) with labels left offset 0.6,0 textcolor rgb '#374151' notitle")
            guard let spreads = spreads[name] else { continue }
            blocks.append("$spreads\(index) << END\n\(spreads.joined(separator: "\n"))\nEND")
            parts.append("$spreads\(index) using 1:2:3:4 with xerrorbars notitle linecolor rgb '#374151' pointtype 7 pointsize 0.3")
        }
        let settings = [
            "set title \(title.quoted)", "set xlabel \(valueLabel.quoted)",
            "set xrange [0:\(greatest * 1.12)]", "set yrange [\(y - Self.gap):\(-Self.step)]", "unset grid",
            "set grid xtics linecolor '#e5e7eb' linetype 1", "set ytics scale 0 (\(ticks.joined(separator: ", ")))", "set border 1",
        ]
        return (settings + blocks + ["plot " + parts.joined(separator: ", \\\n  ")]).joined(separator: "\n")
    }

    private var greatest: Double { rows.flatMap(\.bars).map(\.end).max() ?? 1 }

    /// In the order in which they come first.
    private var names: [String] {
        var names: [String] = []
        for bar in rows.flatMap(\.bars) where !names.contains(bar.name) { names.append(bar.name) }
        return names
    }
}
