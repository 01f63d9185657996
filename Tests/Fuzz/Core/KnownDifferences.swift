extension Difference {
    /// Every deliberate difference. A test fails unless an entry of the corpus shows each of them.
    package static let all: [Difference] = fields + framing + requestLines + limits + connections + looser

    /// A difference: the server refuses with this status what the oracle accepts, where the predicate holds.
    private static func refused(
        _ name: String, _ status: Int, _ reason: String, where applies: @escaping @Sendable (Verdict.Request, Disagreement) -> Bool
    ) -> Difference {
        Difference(name: name, reason: reason) { disagreement in
            guard let refusal = disagreement.refusal, refusal.status == status else { return false }
            return applies(refusal.request, disagreement)
        }
    }

    /// A difference: the server accepts what the oracle refuses, where the predicate holds.
    private static func accepted(
        _ name: String, _ reason: String, where applies: @escaping @Sendable (Verdict.Request, Disagreement) -> Bool
    ) -> Difference {
        Difference(name: name, reason: reason) { disagreement in
            guard let request = disagreement.acceptance else { return false }
            return applies(request, disagreement)
        }
    }

    private static let fields = [
        refused("no Host", 400, "RFC 9112 section 3.2: a request of HTTP/1.1 without Host is answered 400") { request, _ in
            request.minorVersion == 1 && request.values("host").isEmpty
        },
        refused("Host repeated", 400, "RFC 9112 section 3.2: more than one Host is answered 400") { request, _ in
            request.values("host").count > 1
        },
        refused("Host malformed", 400, "RFC 9112 section 3.2: a Host that is no uri-host with a port is answered 400") { request, _ in
            request.values("host").count == 1 && !request.values("host").allSatisfy(isHost)
        },
        refused("unknown expectation", 417, "RFC 9110 section 10.1.1: a server may answer 417 to any other than 100-continue") {
            request, _ in
            let expectations = request.values("expect")
            return request.minorVersion == 1 && !expectations.isEmpty
                && (expectations.count > 1 || expectations[0].lowercased() != "100-continue")
        },
    ]

    private static let framing = [
        refused("another coding than chunked", 400, "RFC 9112 section 6.1: codings that a server does not have are refused") { request, _ in
            let codings = request.values("transfer-encoding")
            return codings.count > 1 || codings.contains { $0.lowercased() != "chunked" }
        },
        refused("Transfer-Encoding in HTTP/1.0", 400, "RFC 9112 section 6.1: its framing is faulty") { request, _ in
            request.minorVersion == 0 && !request.values("transfer-encoding").isEmpty
        },
        refused("long chunk size", 400, "RFC 9112 section 7.1: large hexadecimal numerals are to be anticipated; 8 digits are enough") {
            _, disagreement in
            disagreement.raw.chunks?.oddity == .longSize
        },
        refused("malformed chunk extension", 400, "RFC 9112 section 7.1.1: a name and a value are not empty") { _, disagreement in
            disagreement.raw.chunks?.oddity == .malformedExtension
        },
        refused("too much chunk framing", 400, "RFC 9112 section 7.1.1: the length of extensions is to be limited") { _, disagreement in
            (disagreement.raw.chunks?.framingByteCount ?? 0) > 16_384
        },
        refused("trailers too large", 431, "RFC 6585 section 5: they share the limit of the head") { _, disagreement in
            guard let chunks = disagreement.raw.chunks, !chunks.trailers.isEmpty else { return false }
            return chunks.framingByteCount > 16_384
        },
    ]

    private static let requestLines = [
        refused(
            "bare CR or LF before the request", 400, "RFC 9112 section 2.2: a bare CR is invalid; only CR LF before a request is ignored"
        ) {
            _, disagreement in
            let first = disagreement.raw.head.first
            return first == 10 || first == 13
        },
        Difference(name: "bare LF behind the last request", reason: "RFC 9112 section 2.2: only CR LF before a request is ignored") {
            disagreement in
            guard case .refused(400?) = disagreement.ours.end, disagreement.oracle.end == .atRequest else { return false }
            let head = disagreement.raw.head
            return disagreement.oracleRequest == nil && (head.first == 10 || head.first == 13) && head.allSatisfy { $0 == 10 || $0 == 13 }
        },
        refused("more than one space", 400, "RFC 9112 section 3: single spaces separate the parts of a request line") { _, disagreement in
            disagreement.raw.requestLine.contains("  ")
        },
        refused("CONNECT", 501, "RFC 9110 section 9.3.6: only a proxy opens tunnels") { request, _ in request.method == "CONNECT" },
        refused(
            "target malformed", 400,
            "RFC 9112 section 3.2: origin form, absolute form of http and https, and the asterisk of OPTIONS; no fragment"
        ) {
            request, _ in !isTarget(request.target, of: request.method)
        },
        refused("another protocol", 400, "RFC 9112 section 2.3: the protocol's name is HTTP") { _, disagreement in
            !disagreement.raw.requestLine.contains(" HTTP/")
        },
    ]

    private static let limits = [
        refused("head too large", 431, "the server's limit: 16 KiB") { _, disagreement in
            disagreement.raw.head.count > 16_384
        },
        refused("too many fields", 431, "the server's limit: 128") { request, _ in request.fields.count > 128 },
        Difference(name: "too many empty lines and no request", reason: "RFC 9112 section 2.2: at least one is ignored") {
            $0.ours.end == .refused(status: 431) && $0.oracle.end == .atRequest && $0.oracleRequest == nil
                && $0.raw.head.allSatisfy({ $0 == 10 || $0 == 13 })
                && $0.raw.emptyLines.count > 256
        },
        refused("too many empty lines", 431, "RFC 9112 section 2.2: at least one is ignored") { _, disagreement in
            disagreement.raw.emptyLines.count > 256
        },
        refused("body too large", 413, "the server's limit: 64 KiB") { request, _ in request.body.count > 65_536 },
    ]

    private static let connections = [
        Difference(name: "close beside white space", reason: "RFC 9110 section 5.6.1: list elements have optional white space, tabs too") {
            guard let ours = $0.ourRequest, let oracle = $0.oracleRequest, differsInPersistence(ours, oracle) else { return false }
            return !ours.staysOpen && options(ours).contains("close") && $0.raw.values("connection").contains { $0.contains("\t") }
        },
        Difference(name: "keep-alive beside white space", reason: "RFC 9110 section 5.6.1, for HTTP/1.0") {
            guard let ours = $0.ourRequest, let oracle = $0.oracleRequest, differsInPersistence(ours, oracle) else { return false }
            return ours.staysOpen && ours.minorVersion == 0 && options(ours).contains("keep-alive") && !options(ours).contains("close")
                && $0.raw.values("connection").contains { $0.contains("\t") }
        },
        Difference(name: "close and keep-alive", reason: "RFC 9112 section 9.3: close is looked for first, in HTTP/1.0 too") {
            guard let ours = $0.ourRequest, let oracle = $0.oracleRequest, differsInPersistence(ours, oracle) else { return false }
            return !ours.staysOpen && ours.minorVersion == 0 && options(ours).contains("close")
        },
        Difference(name: "Proxy-Connection", reason: "RFC 9112 section C.2.2: it is no field of HTTP") {
            guard let ours = $0.ourRequest, let oracle = $0.oracleRequest, differsInPersistence(ours, oracle) else { return false }
            return !ours.values("proxy-connection").isEmpty
        },
    ]

    private static let looser = [
        accepted("a method that llhttp does not know", "RFC 9110 section 9.1: a method is any token, and the route refuses it") {
            request, _ in
            !knownMethods.contains(request.method) && request.method.utf8.allSatisfy(isToken)
        },
        accepted("tab around Content-Length", "RFC 9112 section 5: white space around a value is no part of it, tabs too") {
            _, disagreement in
            disagreement.raw.values("content-length").contains { $0.contains("\t") }
        },
        accepted("tab around Transfer-Encoding", "RFC 9112 section 5: white space around a value is no part of it, tabs too") {
            _, disagreement in
            disagreement.raw.values("transfer-encoding").contains { $0.contains("\t") }
        },
        accepted("framing fields in trailers", "RFC 9110 section 6.5.1: they are ignored there") { _, disagreement in
            !trailerNames(disagreement.raw).isDisjoint(with: ["content-length", "transfer-encoding"])
        },
        accepted("Connection in the trailers before", "RFC 9110 section 6.5.1: it is ignored there") { _, disagreement in
            disagreement.number > 0
                && !trailerNames(RawRequest(disagreement.bytes, number: disagreement.number - 1)).isDisjoint(
                    with: ["connection", "proxy-connection"])
        },
    ]

    // MARK: - Rules, as the RFCs have them

    private static func differsInPersistence(_ ours: Verdict.Request, _ oracle: Verdict.Request) -> Bool {
        var oracle = oracle
        oracle.staysOpen.toggle()
        return ours == oracle
    }

    private static func options(_ request: Verdict.Request) -> [String] {
        request.values("connection").joined(separator: ",").split(separator: ",").map {
            String($0.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed()).lowercased()
        }
    }

    private static func trailerNames(_ raw: RawRequest) -> Set<String> {
        Set((raw.chunks?.trailers ?? []).map { $0.prefix { $0 != ":" }.lowercased() })
    }

    private static let letters = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
    private static let tokenBytes = letters.union("!#$%&'*+-.^_`|~".utf8)

    private static func isToken(_ byte: UInt8) -> Bool { tokenBytes.contains(byte) }

    private static func isHost(_ text: String) -> Bool {
        // Without commas, because two joined fields look like one value with a comma.
        let literal = #/\[(?:[0-9A-Fa-f:.]+|[vV][A-Za-z0-9\-._~!$&'()*+;=:]*)\]/#
        let name = #/(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*/#
        guard let host = text.prefixMatch(of: literal)?.range ?? text.prefixMatch(of: name)?.range else { return false }
        return text[host.upperBound...].wholeMatch(of: #/(?::[0-9]*)?/#) != nil
    }

    private static func isTarget(_ target: String, of method: String) -> Bool {
        if target == "*" { return method == "OPTIONS" }
        guard target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else { return false }
        if target.hasPrefix("/") { return true }
        guard let match = target.wholeMatch(of: #/(?i:https?):\/\/([^\/?]+)([\/?].*)?/#) else { return false }
        // An http URI has a host (RFC 9110 section 4.2.1).
        return !match.1.hasPrefix(":") && isHost(String(match.1))
    }

    private static let knownMethods: Set = [
        "DELETE", "GET", "HEAD", "POST", "PUT", "CONNECT", "OPTIONS", "TRACE", "COPY", "LOCK", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH",
        "SEARCH",
        "UNLOCK", "BIND", "REBIND", "UNBIND", "ACL", "REPORT", "MKACTIVITY", "CHECKOUT", "MERGE", "M-SEARCH", "NOTIFY", "SUBSCRIBE",
        "UNSUBSCRIBE",
        "PATCH", "PURGE", "MKCALENDAR", "LINK", "UNLINK", "SOURCE", "QUERY",
    ]
}
