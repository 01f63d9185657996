import Foundation
import Redis
import Services
import Testing

/// Holds header, body and Swift against one another: none can change alone.
@Suite("headers, bodies and Swift agree")
struct ScriptContractTests {
    static let names = Scripts.all.map(\.name)

    /// The codes of each script as Swift knows them; `rank_products` answers strings and has none.
    static let codes: [String: [Int64: String]] = [
        "claim_coupon": names(of: ClaimCode.self), "load_coupon": names(of: LoadCode.self),
        "load_claims": names(of: LoadClaimsCode.self),
        "open_coupon": names(of: OpenCode.self), "adjust_coupon": names(of: AdjustCode.self),
        "admit_store": names(of: AdmitStoreCode.self), "archive_coupon": names(of: ArchiveCode.self),
        "append_events": names(of: AppendEventsCode.self),
        "record_sales": names(of: RecordSalesCode.self), "record_views": names(of: RecordViewsCode.self),
        "swap_sales": names(of: SwapSalesCode.self), "take_tokens": names(of: TakeTokensCode.self), "rank_products": [:],
    ]

    private static func names<Code: CaseIterable & RawRepresentable<Int64>>(of: Code.Type) -> [Int64: String] {
        Dictionary(
            uniqueKeysWithValues: Code.allCases.map { code in
                (code.rawValue, "\(code)".replacing(#/[A-Z]/#) { "_\($0.output)" }.uppercased())
            })
    }

    private func file(_ name: String) throws -> ScriptFile {
        try #require(try ScriptFile.all().first { $0.name == name }, "there is no lua/\(name).lua")
    }

    @Test("every script of the folder is known to Swift, under its own name and with its own text")
    func everyScript() throws {
        let files = try ScriptFile.all()
        #expect(files.map(\.name) == Self.names.sorted())
        #expect(Set(Self.names).count == Self.names.count)
        #expect(Set(Self.codes.keys) == Set(Self.names))
        for script in Scripts.all { #expect(try file(script.name).text == script.source, "\(script.name)") }
    }

    @Test("every script is embedded in LuaScripts as verb and noun")
    func embedded() throws {
        let source = try String(contentsOf: ScriptFile.folder.appending(path: "LuaScripts.swift"), encoding: .utf8)
        let embedded = source.matches(of: #/static let (\w+) = text\(PackageResources\.(\w+)_lua\)/#)
        #expect(embedded.map { String($0.2) }.sorted() == Self.names.sorted())
        for entry in embedded { #expect(entry.1.replacing(#/[A-Z]/#) { "_\($0.output.lowercased())" } == entry.2) }
    }

    @Test("the header has name, KEYS, ARGV, RETURNS, COST and KEEPS", arguments: names)
    func header(_ name: String) throws {
        let header = try file(name).header
        #expect(header.first?.hasPrefix("\(name): ") == true && header.first?.hasSuffix(".") == true)
        for part in ["KEYS[1] ", "ARGV[1] ", "RETURNS ", "COST ", "KEEPS "] {
            #expect(header.filter { $0.hasPrefix(part) }.count == 1, "\(part) in \(name).lua")
        }
    }

    @Test("the header's KEYS are as many as Swift passes", arguments: Scripts.all.indices)
    func keyCount(_ index: Int) throws {
        let script = Scripts.all[index]
        let keys = try file(script.name).keys
        #expect(keys.numbers == Array(1...keys.numbers.count))
        if keys.isOpen {
            #expect(script.keyCount >= keys.numbers.count)
        } else {
            #expect(script.keyCount == keys.numbers.count)
        }
    }

    @Test("the body touches every key and argument of the header, and no other", arguments: names)
    func uses(_ name: String) throws {
        let file = try file(name)
        for (table, numbers) in [("KEYS", file.keys.numbers), ("ARGV", file.arguments)] {
            #expect(numbers == Array(1...max(1, numbers.count)), "\(table)")
            let used = Set(
                file.body.matches(of: try Regex("\(table)\\[(\\d+)\\]", as: (Substring, Substring).self)).compactMap { Int($0.1) })
            let walks = file.body.contains("\(table)[index") || file.body.contains("\(table)[day") || file.body.contains("unpack(\(table)")
            #expect(used.isSubset(of: Set(numbers)), "\(table) that the header of \(name).lua lacks")
            #expect(walks || used == Set(numbers), "\(table) that the body of \(name).lua lacks")
        }
    }

    @Test("the header's codes are Swift's cases and the numbers that the body returns", arguments: names)
    func returnCodes(_ name: String) throws {
        let file = try file(name)
        #expect(file.codes == Self.codes[name])
        #expect(file.returnedCodes == Set(file.codes.keys))
        // A return that begins with anything but a code would slip through the line above.
        let returns = file.body.matches(of: #/(?m)^ *return (?:.*)$/#).map { $0.0.drop { $0 == " " } }
        for line in returns where !line.hasPrefix("return { ") {
            let isHelper = line.hasPrefix("return text and") || line == "return verdicts" || line.contains(#/^return decide_all\(\d/#)
            #expect(name == "rank_products" || isHelper, "\(line) in \(name).lua")
        }
    }

    @Test("no script builds the name of a key: a cluster finds keys in KEYS alone", arguments: names)
    func keyNames(_ name: String) throws {
        let body = try file(name).body
        #expect(!body.contains(".."))
        for call in body.matches(of: #/redis\.call\('(\w+)'(?:, ([^,)]+))?/#) where call.1 != "TIME" {
            #expect(call.2?.hasPrefix("KEYS[") == true, "\(call.0) in \(name).lua")
        }
    }

    @Test("errors reach the caller: redis.call only, and nothing catches", arguments: names)
    func onlyCall(_ name: String) throws {
        let body = try file(name).body
        for word in ["pcall", "redis.sha1hex", "redis.log", "redis.setresp", "redis.breakpoint", "loadstring", "cjson"] {
            #expect(!body.contains(word), "\(word) in \(name).lua")
        }
    }
}
