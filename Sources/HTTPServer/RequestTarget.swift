import NIOHTTP1

/// The request target of RFC 9112 section 3.2, reduced to the path and query a handler needs.
struct RequestTarget: Equatable {
    let path: String
    let query: String?

    /// Reads origin form, absolute form (`http` and `https`) and, for OPTIONS, the asterisk; nil for everything else.
    init?(_ target: String, method: HTTPMethod) {
        if target == "*" {
            guard method == .OPTIONS else { return nil }
            self.init(path: target, query: nil)
            return
        }
        guard target.utf8.first == UInt8(ascii: "/") else {
            guard let origin = RequestTarget.originForm(ofAbsolute: target) else { return nil }
            self.init(origin: origin)
            return
        }
        self.init(origin: target)
    }

    private init?(origin: String) {
        var (origin, questionMark) = (origin, Int?.none)
        let isVisible = origin.withUTF8 { bytes in
            for (offset, byte) in bytes.enumerated() {
                // A fragment never belongs in a request, and what is not visible ASCII must have been percent-encoded.
                guard byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "#") else { return false }
                if byte == UInt8(ascii: "?"), questionMark == nil { questionMark = offset }
            }
            return true
        }
        guard isVisible else { return nil }
        guard let questionMark else {
            self.init(path: origin, query: nil)
            return
        }
        let split = origin.utf8.index(origin.startIndex, offsetBy: questionMark)
        self.init(path: String(origin[..<split]), query: String(origin[origin.utf8.index(after: split)...]))
    }

    private init(path: String, query: String?) {
        self.path = path
        self.query = query
    }

    private static func originForm(ofAbsolute target: String) -> String? {
        guard let colon = target.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let scheme = String(target[..<colon])
        guard scheme.matches("http") || scheme.matches("https") else { return nil }
        let rest = target[colon...].dropFirst()
        guard rest.hasPrefix("//") else { return nil }
        let authorityAndPath = rest.dropFirst(2)
        let end = authorityAndPath.utf8.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
        guard let end else { return authorityAndPath.isEmpty ? nil : "/" }
        guard end > authorityAndPath.startIndex else { return nil }
        let pathAndQuery = authorityAndPath[end...]
        return pathAndQuery.utf8.first == UInt8(ascii: "/") ? String(pathAndQuery) : "/" + pathAndQuery
    }
}
