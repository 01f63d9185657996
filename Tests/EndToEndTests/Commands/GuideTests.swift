import App
import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("README and guides", .sharedService)
    struct GuideTests {}
}

extension EndToEnd.GuideTests {
    /// The folder of the repository.
    private static let root: URL = {
        let parts = URL(fileURLWithPath: #filePath).pathComponents
        return URL(fileURLWithPath: NSString.path(withComponents: Array(parts[..<(parts.lastIndex(of: "Tests") ?? 0)])))
    }()
    private static let guides = "Sources/firstcome/Firstcome.docc"
    private static let pages =
        ["README.md", "README.ko.md"]
        + ["Firstcome", "Architecture", "Integrating", "Operating", "Console", "SeveralMachines", "Proving", "Testing", "Measuring"]
        .map { "\(guides)/\($0).md" }

    private static func text(_ page: String) throws -> String {
        try String(contentsOf: root.appending(path: page), encoding: .utf8)
    }

    private static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: root.appending(path: path).path) }

    @Test("README has at most 8 KB")
    func length() throws {
        #expect(try Self.text("README.md").utf8.count <= 8_192)
    }

    /// The folder `.bench/quick` is what a quick run of the benchmark makes.
    @Test("every file that a page names or links to exists", arguments: pages)
    func files(page: String) throws {
        let text = try Self.text(page)
        let named = text.matches(of: #/`((?:Sources|Tests|lua|\.ci|\.bench)/[^`\s*{}]+)`/#).map { String($0.1) }
        for path in named where path != ".bench/quick" { #expect(Self.exists(path), "\(page) names \(path)") }
        let folder = URL(fileURLWithPath: page, relativeTo: Self.root).deletingLastPathComponent()
        let links = text.matches(of: #/\]\(([^)#:\s]+)(?:#[^)]*)?\)/#).map { String($0.1) }
        for link in links {
            let target = URL(fileURLWithPath: link, relativeTo: folder).standardizedFileURL.path
            #expect(FileManager.default.fileExists(atPath: target), "\(page) links to \(link)")
        }
        #expect(!(named + links).isEmpty)
    }

    @Test("every heading that a page links to exists", arguments: pages)
    func headings(page: String) throws {
        let folder = URL(fileURLWithPath: page, relativeTo: Self.root).deletingLastPathComponent()
        for link in try Self.text(page).matches(of: #/\]\(([^)#:\s]*)#([^)]+)\)/#) {
            let target = link.1.isEmpty ? Self.root.appending(path: page) : URL(fileURLWithPath: String(link.1), relativeTo: folder)
            let headings = try String(contentsOf: target, encoding: .utf8).matches(of: #/(?m)^#+ (.+)$/#).map { Self.anchor($0.1) }
            #expect(headings.contains(Self.anchor(link.2)), "\(page) links to \(link.1)#\(link.2)")
        }
    }

    /// The part of an address that names a heading, as code hosts and DocC make it: words joined by hyphens, in any case.
    private static func anchor(_ heading: Substring) -> String {
        heading.lowercased().filter { $0.isLetter || $0.isNumber || $0 == "-" || $0 == " " }.replacingOccurrences(of: " ", with: "-")
    }

    @Test("the guide for operators names every command, every flag and every metric, and no metric that there is not")
    func operating() async throws {
        let text = try Self.text("\(Self.guides)/Operating.md")
        for (command, flags) in EnvironmentFlags.values {
            #expect(text.contains("firstcome \(command)") || text.contains("`\(command)`"), "\(command)")
            for flag in flags { #expect(text.contains("--\(flag)"), "\(command) --\(flag)") }
        }
        let page = try await service.guest.get("/metrics").expect(200).text
        let metrics = Set(page.matches(of: #/(?m)^# TYPE ([a-z_]+) /#).map { String($0.1) })
        let named = Set(text.matches(of: #/(?:firstcome|process)_[a-z_]+[a-z]/#).map { String($0.0) })
        #expect(metrics.count > 20)
        #expect(metrics.subtracting(named).isEmpty, "not in the guide")
        // The parts of a histogram have names of their own.
        let parts = named.map { $0.replacing(#/_(bucket|sum|count)$/#, with: "") }
        #expect(Set(parts).subtracting(metrics).isEmpty, "only in the guide")
    }
}
