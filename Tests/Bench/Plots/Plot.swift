import Foundation
import TestSupport

/// A picture that gnuplot draws.
package protocol Plot: Sendable {
    /// What gnuplot reads after the preamble: labels, data and the plot itself.
    var commands: String { get }
    /// In points of the SVG.
    var size: (width: Int, height: Int) { get }
}

/// gnuplot could not draw.
package struct NotDrawn: Error, CustomStringConvertible {
    package let description: String
}

extension Plot {
    /// Draws into an SVG file, on white: a reader's dark theme must not swallow black text.
    package func writeSVG(to path: String) async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        // gnuplot opens its output before it knows whether it can draw: what is there already stays until the new picture is whole.
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
        set border 3 linecolor '#6b7280'
        set grid linecolor '#e5e7eb' linetype 1
        set tics nomirror textcolor '#374151'
        set title textcolor '#111827' font ',16'
        set key tmargin center horizontal Left reverse nobox samplen 2 width -1 textcolor '#374151'
        set xlabel textcolor '#374151'
        set ylabel textcolor '#374151'
        \(commands)

        """
    }
}

/// Colours that can be told apart on white, also without seeing red or green (Okabe and Ito); the first is ours.
enum Palette {
    private static let colors = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b7280"]

    static func color(_ index: Int) -> String { colors[index % colors.count] }
}

extension String {
    /// As a string of gnuplot: between single quotes only the quote itself means something, and a line end cannot be written.
    var quoted: String { "'" + map { $0 == "'" ? "''" : $0.isNewline ? " " : String($0) }.joined() + "'" }
}
