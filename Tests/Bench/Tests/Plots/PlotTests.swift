import BenchPlots
import Foundation
import FoundationXML
import TestSupport
import Testing

@Suite("plots")
struct PlotTests {
    private static func draw(_ plot: some Plot) async throws -> (text: String, curves: Int) {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let path = folder.path + "/picture.svg"
        try await plot.writeSVG(to: path)
        let reader = PictureReader()
        let parser = XMLParser(data: try Data(contentsOf: URL(fileURLWithPath: path)))
        parser.delegate = reader
        #expect(parser.parse(), "\(String(describing: parser.parserError))")
        #expect(reader.root == "svg")
        return (reader.text, reader.curves)
    }

    @Test("lines: a whole SVG with titles, labels and names, whatever is in them, and a place for 0 on a logarithmic axis")
    func lines() async throws {
        let plot = LinePlot(
            title: "CPU per claim <grows> & it's \\ flat", xLabel: "earlier claims {x}_1", yLabel: "µs per request", xScale: .logarithmic,
            series: [
                .init("ours", [.init(0, 6.1, spread: 5.9...6.4), .init(100_000, 6.2), .init(1_000_000, 6.3)]),
                .init("theirs", [.init(0, 8), .init(100_000, 9), .init(1_000_000, 10)]),
            ])
        let picture = try await Self.draw(plot)
        for text in ["CPU per claim <grows> & it's \\ flat", "earlier claims {x}_1", "µs per request", "ours", "theirs", "100k", "1M"] {
            #expect(picture.text.contains(text), "\(text) in \(picture.text)")
        }
        #expect(picture.curves >= 2)
    }

    @Test("both axes may be logarithmic")
    func logarithmic() async throws {
        let plot = LinePlot(
            title: "Latency", xLabel: "% of the maximum", yLabel: "ms", yScale: .logarithmic,
            series: [.init("p99.9", [.init(25, 0.4), .init(50, 0.9), .init(75, 4), .init(90, 35)])])
        #expect(try await Self.draw(plot).text.contains("p99.9"))
    }

    @Test("panels: every panel with its title, its axes and its lines")
    func panels() async throws {
        func panel(_ title: String) -> LinePlot {
            LinePlot(
                title: title, xLabel: "rate", yLabel: "ms",
                series: [.init("p50", [.init(1, 2), .init(2, 3)]), .init("p99", [.init(1, 9)])])
        }
        let picture = try await Self.draw(PanelPlot(title: "Latency", panels: ["refused", "won", "one more"].map(panel)))
        for text in ["Latency", "refused", "won", "one more", "rate", "p50", "p99"] {
            #expect(picture.text.contains(text), "\(text) in \(picture.text)")
        }
        #expect(picture.text.matches(of: /rate/).count == 3)
    }

    @Test("bars: each row with its bars and their values")
    func bars() async throws {
        let plot = BarPlot(
            title: "Server CPU per request", valueLabel: "µs",
            rows: [
                .init("claim, sold out", [.init("firstcome", 6.4, spread: 6.2...6.9), .init("webdis", 7.8)]),
                .init("GET product", [.init("firstcome", 12.7), .init("bare SwiftNIO", 11.9), .init("nginx", 3.21)]),
            ])
        let picture = try await Self.draw(plot)
        for text in ["Server CPU per request", "claim, sold out", "GET product", "firstcome", "webdis", "bare SwiftNIO", "nginx", "3.21"] {
            #expect(picture.text.contains(text), "\(text) in \(picture.text)")
        }
    }

    @Test("what gnuplot cannot draw is an error with its words, and an older picture stays")
    func notDrawn() async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let path = folder.path + "/picture.svg"
        try Data("older".utf8).write(to: URL(fileURLWithPath: path))
        let empty = LinePlot(title: "", xLabel: "", yLabel: "", series: [])
        await #expect(throws: NotDrawn.self) { try await empty.writeSVG(to: path) }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "older")
    }
}

/// Collects the texts and curves of an SVG file.
private final class PictureReader: NSObject, XMLParserDelegate {
    var root: String?
    var text = ""
    var curves = 0

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?, attributes: [String: String]
    ) {
        root = root ?? name
        if name == "path" { curves += 1 }
    }

    func parser(_ parser: XMLParser, foundCharacters characters: String) { text += characters }
}
