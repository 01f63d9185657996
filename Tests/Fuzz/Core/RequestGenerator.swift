import TestSupport

/// Makes random input: requests built by the grammar, some with one malformed part, and entries of the corpus with a few bytes
/// changed.
package struct RequestGenerator {
    private var random: SeededGenerator

    package init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
    }

    /// The bytes that one connection sends.
    package mutating func next() -> [UInt8] {
        switch Int.random(in: 0..<10, using: &random) {
        case ..<4:
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...4, using: &random) { bytes += latin1(request()) }
            return chance(1, of: 4) ? mutated(bytes) : bytes
        case ..<8: return mutated(corpusEntry())
        default:
            let (first, second) = (corpusEntry(), corpusEntry())
            let spliced = Array(first.prefix(cut(first)) + second.dropFirst(cut(second)))
            return chance(1, of: 2) ? mutated(spliced) : spliced
        }
    }

    /// Random lengths of the pieces in which that many bytes arrive.
    package mutating func pieces(of count: Int) -> [Int] {
        switch Int.random(in: 0..<10, using: &random) {
        case ..<3: return [count]
        case ..<6: return [Int.random(in: 0...count, using: &random)]
        case ..<7 where count < 1_000: return Array(repeating: 1, count: count)
        default:
            var (pieces, rest) = ([Int](), count)
            while rest > 0, pieces.count < 64 {
                pieces.append(Int.random(in: 1...max(1, min(rest, pick([1, 2, 5, 30, 1_000]))), using: &random))
                rest -= pieces[pieces.count - 1]
            }
            return pieces
        }
    }

    private mutating func pick<Value>(_ values: [Value]) -> Value { values[Int.random(in: 0..<values.count, using: &random)] }
    private mutating func chance(_ count: Int, of all: Int) -> Bool { Int.random(in: 0..<all, using: &random) < count }
    private mutating func cut(_ bytes: [UInt8]) -> Int { Int.random(in: 0...bytes.count, using: &random) }
    private func latin1(_ text: String) -> [UInt8] { text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) } }
    private mutating func corpusEntry() -> [UInt8] {
        // Long entries test limits, and each takes as much time as a hundred others, so they are rare.
        let entry = pick(RequestCorpus.all).bytes
        return entry.count < 1_000 || chance(1, of: 10) ? entry : pick(RequestCorpus.all).bytes
    }

    // MARK: - Mutation

    private mutating func mutated(_ original: [UInt8]) -> [UInt8] {
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let place = cut(bytes)
            switch Int.random(in: 0..<9, using: &random) {
            case 0 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 1 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2 where place < bytes.count: bytes.remove(at: place)
            case 3, 4: bytes.insert(contentsOf: pick(RequestCorpus.tokens), at: place)
            case 5 where place < bytes.count:
                let token = pick(RequestCorpus.tokens)
                bytes.replaceSubrange(place..<min(bytes.count, place + token.count), with: token)
            case 6:
                let end = min(bytes.count, place + Int.random(in: 0...40, using: &random))
                bytes.insert(contentsOf: Array(bytes[place..<end]), at: cut(bytes))
            case 7 where place < bytes.count:
                bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 0...20, using: &random)))
            case 8: bytes = Array(bytes[..<place])
            default: break
            }
        }
        return bytes
    }

    // MARK: - Grammar

    private mutating func request() -> String {
        let method = pick(["GET", "GET", "POST", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
        var (lines, body) = fields()
        lines.shuffle(using: &random)
        let odd = chance(1, of: 6) ? Int.random(in: 0..<8, using: &random) : -1
        let target =
            odd == 0
            ? pick(["*", "http://a/b", "a", "/a#b", "/\u{80}", "/%", "http://a?b", ""]) : pick(["/", "/a/b", "/a?b=c", "/%41?x=%20"])
        let version =
            odd == 1 ? pick(["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 "]) : chance(1, of: 12) ? "HTTP/1.0" : "HTTP/1.1"
        if odd == 2 { lines.append(pick(["A : b", "A b", " folded", "A: \0", "A: \u{80}", ": b", "Host: b", "A:\tb\t"])) }
        let lineEnd = odd == 3 ? pick(["\n", "\r", "\r\r\n"]) : "\r\n"
        let start = odd == 4 ? pick(["\r\n", "\n", " ", "\r\n\r\n"]) : ""
        if odd == 5, !body.isEmpty { body.removeLast() }
        if odd == 6 { body += pick(["\r\n", "x", "0\r\n\r\n"]) }
        let separator = odd == 7 ? pick(["  ", "\t", ""]) : " "
        return start + method + separator + target + " " + version + lineEnd + lines.map { $0 + "\r\n" }.joined() + "\r\n" + body
    }

    /// Field lines, and the body that they announce.
    private mutating func fields() -> ([String], String) {
        var lines = [chance(1, of: 30) ? pick(["Host: a b", "Host: a,b", "host:a:80", "A: b"]) : "Host: a"]
        for _ in 0..<pick([0, 0, 1, 3, 10]) {
            lines.append(
                "\(pick(["Accept", "X-A", "Cookie", "User-Agent"])):\(pick(["", " ", "\t"]))\(pick(["", "a", "b c", "d\te", "\u{FF}"]))\(pick(["", "", " ", "\t"]))"
            )
        }
        if chance(1, of: 8) { lines.append("Connection: \(pick(["close", "keep-alive", "close, te", "upgrade", "te ,\tclose", "x"]))") }
        if chance(1, of: 30) { lines.append("Upgrade: h2c") }
        if chance(1, of: 15) { lines.append("Expect: \(pick(["100-continue", "100-Continue ", "x"]))") }
        let text = String((0..<pick([0, 1, 5, 20, 300])).map { _ in pick(["a", "b", "\r", "\n", "0", ";"]) }.joined())
        let length = text.unicodeScalars.count
        switch Int.random(in: 0..<10, using: &random) {
        case ..<4: return (lines, "")
        case ..<7:
            lines.append(
                "Content-Length:\(pick([" ", "", "  ", "\t"]))\(pick(["", "", "", "0", "+", "-"]))\(length)\(pick(["", "", "", " ", "\t", ",", "x"]))"
            )
        case ..<9:
            lines.append("Transfer-Encoding: \(pick(["chunked", "chunked", "chunked", "Chunked ", "x, chunked", "chunked, x"]))")
            return (lines, chunked(Array(text.unicodeScalars)))
        default:
            lines += ["Content-Length: \(length)", pick(["Transfer-Encoding: chunked", "Content-Length: \(length)", "Content-Length: 1"])]
        }
        return (lines, text)
    }

    private mutating func chunked(_ body: [Unicode.Scalar]) -> String {
        var (text, rest) = ("", body[...])
        while !rest.isEmpty {
            let part = rest.prefix(Int.random(in: 1...rest.count, using: &random))
            rest = rest.dropFirst(part.count)
            let size = String(part.count, radix: 16)
            text += chance(1, of: 10) ? pick(["0", "000", "0000000", "+", " "]) + size : size.uppercased()
            text += chance(1, of: 5) ? pick([";a", ";a=b", ";a=\"b\"", " ", ";", "; a", "\t;a=b", ";a=\"\\\"\""]) : ""
            var data = String.UnicodeScalarView()
            data.append(contentsOf: part)
            text += (chance(1, of: 40) ? "\n" : "\r\n") + String(data) + (chance(1, of: 40) ? pick(["", "\n", "x\r\n"]) : "\r\n")
        }
        return text + pick(["0", "0", "00", "0;a=b"]) + "\r\n" + pick(["", "", "", "A: b\r\n", "A : b\r\n", "Content-Length: 3\r\n"])
            + "\r\n"
    }
}
