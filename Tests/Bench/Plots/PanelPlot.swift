/// Line plots beside each other under one title.
package struct PanelPlot: Plot {
    package var title: String
    package var panels: [LinePlot]
    package var size: (width: Int, height: Int)

    /// - Parameter columns: panels in a row; further ones go below.
    package init(title: String, panels: [LinePlot], columns: Int = 2, panelHeight: Int = 400) {
        (self.title, self.panels, self.columns) = (title, panels, max(1, min(columns, panels.count)))
        rows = (panels.count + self.columns - 1) / self.columns
        size = (self.columns > 1 ? 980 : 860, rows * panelHeight + 40)
    }

    private let columns: Int
    private let rows: Int

    package var commands: String {
        let begin = "set multiplot layout \(rows),\(columns) title \(title.quoted) font ',18' textcolor '#111827'"
        let plots = panels.flatMap { ["reset", PlotStyle.settings, $0.commands] }
        return ([begin] + plots + ["unset multiplot"]).joined(separator: "\n")
    }
}
