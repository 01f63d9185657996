import Foundation
import TestSupport

/// A picture that gnuplot draws.
package protocol Plot: Sendable {
    /// The gnuplot commands after the preamble: labels, data and the plot itself.
    var commands: String { get }
    /// In points of the SVG.
    var size: (width: Int, height: Int) { get }
}

/// gnuplot could not draw.
package struct NotDrawn: Error, CustomStringConvertible {
    package let description: String
}

extension Plot {
    /// Draws into an SVG file on a white background, so that black text is readable in a dark theme.
    package func writeSVG(to path: String) async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        // Drawn to a temporary file, because gnuplot truncates its output before it knows whether it can draw.
        let (script, picture) = (folder.path + "/plot.gp", folder.path + "/plot.svg")
        try Data(self.script(picture).utf8).write(to: URL(fileURLWithPath: script))
        let run = try await Tool.run(program: ["gnuplot", script], environment: ["LC_ALL": "C.UTF-8"])
        guard run.status != 127 else { throw NotDrawn(description: "gnuplot is missing; Debian has it in gnuplot-nox") }
        guard run.status == 0 else { throw NotDrawn(description: "gnuplot ended with \(run.status): \(run.standardError)") }
        try Data(contentsOf: URL(fileURLWithPath: picture)).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    private func script(_ output: String) -> String {
        """
        set terminal svg noenhanced size \(size.width),\(size.height) background '#ffffff' font 'sans-serif,14' linewidth 1.2
        set output \(output.quoted)
        set encoding utf8
        \(PlotStyle.settings)
        \(commands)

        """
    }
}

/// The settings that all pictures share.
enum PlotStyle {
    static let settings = """
        set border 3 linecolor '#6b7280'
        set grid linecolor '#e5e7eb' linetype 1
        set tics nomirror textcolor '#374151'
        set title textcolor '#111827' font ',16'
        set key bmargin center horizontal Left reverse nobox samplen 3 width 1 height 1 textcolor '#374151'
        set xlabel offset 0,0.4 textcolor '#374151'
        set ylabel textcolor '#374151'
        """

    /// Colours of different lightness, so that they differ in greyscale too; the first is for firstcome.
    private static let colors = ["#08519c", "#d55e00", "#56b4e9", "#111827", "#009e73"]

    static func color(_ index: Int) -> String { colors[index % colors.count] }

    /// Filled circle, square, triangle, diamond and inverted triangle.
    private static let markers = [7, 5, 9, 13, 11]

    static func marker(_ index: Int) -> Int { markers[index % markers.count] }

    /// The average width of the font's characters at most, in points of the SVG.
    static let characterWidth = 8.0
}

extension String {
    /// The text as a string of gnuplot: in single quotes only the quote itself is special, and a line end is not possible.
    var quoted: String { "'" + map { $0 == "'" ? "''" : $0.isNewline ? " " : String($0) }.joined() + "'" }
}
