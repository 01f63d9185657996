import Foundation

/// A file of `lua/`, taken apart into its header and its body.
struct ScriptFile {
    let name: String
    let text: String

    static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().appending(path: "lua")

    /// Every script of the folder, whether or not anything names it.
    static func all() throws -> [ScriptFile] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".lua") }.sorted().map { file in
            ScriptFile(
                name: String(file.dropLast(".lua".count)), text: try String(contentsOf: folder.appending(path: file), encoding: .utf8))
        }
    }

    private var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// The comment lines at the top, without their dashes.
    var header: [String] {
        lines.prefix { $0.hasPrefix("--") }.map { String($0.dropFirst(2).drop { $0 == " " }) }
    }

    /// The code, without comments.
    var body: String {
        lines.drop { $0.hasPrefix("--") }.filter { !$0.drop { $0 == " " }.hasPrefix("--") }.joined(separator: "\n")
    }

    /// The header's `KEYS[1]` to `KEYS[n]`, and whether `KEYS[n..]` leaves the number open.
    var keys: (numbers: [Int], isOpen: Bool) {
        let entries = header.compactMap { $0.firstMatch(of: #/^KEYS\[(\d+)(\.\.)?\] /#) }
        return (entries.compactMap { Int($0.1) }, entries.contains { $0.2 != nil })
    }

    /// The header's `ARGV[1]` to `ARGV[n]`, the last of which may be `ARGV[n..]`.
    var arguments: [Int] { header.compactMap { $0.firstMatch(of: #/^ARGV\[(\d+)(\.\.)?\] /#) }.compactMap { Int($0.1) } }

    /// The header's return codes: `1 CLAIMED`.
    var codes: [Int64: String] {
        let entries = header.compactMap { $0.firstMatch(of: #/^(\d+) ([A-Z][A-Z_]*)( |$)/#) }
        return Dictionary(entries.map { (Int64($0.1) ?? 0, String($0.2)) }, uniquingKeysWith: { first, _ in first + " twice" })
    }

    /// The numbers that a `return { n` of the body begins with, or that its functions for many answers are given as the code.
    var returnedCodes: Set<Int64> {
        let returned = body.matches(of: #/return \{ (\d+)/#).map(\.1)
        let decided = body.matches(of: #/(?:decide\(index, |decide_all\()(\d+)/#).map(\.1)
        return Set((returned + decided).compactMap { Int64($0) })
    }
}
