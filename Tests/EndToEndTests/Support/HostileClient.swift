import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What the requests of a hostile client may name.
struct HostileTargets: Sendable {
    let port: Int
    let userID: Int64
    let userToken: String
    let adminToken: String
}

/// One request of a pipeline, and what must come back for it.
struct HostileRequest {
    var bytes: [UInt8]
    var isHead = false
    /// Whether nothing after it is answered: it is malformed, or ends the connection.
    var isLast = false

    init(_ text: String, isHead: Bool = false, isLast: Bool = false) {
        (bytes, self.isHead, self.isLast) = (Array(text.utf8), isHead, isLast)
    }
}

/// One connection that means the server no good, and all of what it does, decided by a seed.
struct HostileClient {
    enum Reading: CaseIterable { case everything, some, nothing }
    enum Ending: CaseIterable { case close, reset, halfCloseAndClose, halfCloseAndReset }

    private let targets: HostileTargets
    private var random: SeededGenerator
    private var requests: [HostileRequest] = []
    private let reading: Reading

    init(seed: UInt64, targets: HostileTargets) {
        self.targets = targets
        random = SeededGenerator(seed: seed)
        reading = Reading.allCases.randomElement(using: &random) ?? .everything
        for _ in 0..<(pick([1, 3, 10, 40])) {
            let next = makeRequest()
            requests += next
            if next.contains(where: \.isLast) { break }
        }
        // What follows the last request is dropped, or belongs to a body that does not end.
        if chance(1, of: 3), requests.last?.isLast == true { requests.append(HostileRequest(get("/smuggled"))) }
    }

    /// - Throws: what shows that the server did wrong; that it ends a connection is no wrong in itself, except where all is read.
    mutating func run() throws {
        // With the smallest one (tcp(7)) the window may stay below one segment; then the kernel sends a kilobyte each 200 ms, and who
        // wants everything would read for minutes.
        let smallest: Int32 = reading == .everything ? 4_096 : 2_304
        let buffer: Int32? = chance(1, of: 2) ? pick([smallest, 4_096, 65_536]) : nil
        let client = try RawHTTPClient(port: targets.port, timeoutMilliseconds: 60_000, receiveBufferBytes: buffer)
        if reading == .everything { return try readEverything(client) }
        do {
            try harass(client)
        } catch RawHTTPClient.Failure.socket(errno: EPIPE), RawHTTPClient.Failure.socket(errno: ECONNRESET) {
            // The server may end the connection of such a client at any time.
        }
    }

    /// What came back for a pipeline that was sent as a whole, and is not what had to.
    struct WrongAnswers: Error, CustomStringConvertible {
        let description: String
    }

    private mutating func readEverything(_ client: RawHTTPClient) throws {
        let answered = requests.firstIndex(where: \.isLast).map { $0 + 1 } ?? requests.count
        let heads = requests.map(\.isHead)
        var answers = AnswerStream(isHead: { $0 < heads.count && heads[$0] })
        let halfCloses = chance(1, of: 2)
        try client.converse(requests.flatMap(\.bytes), halfCloses: halfCloses) { bytes in
            try answers.take(bytes)
            return halfCloses || answers.saidClose || answers.statuses.count < answered || !answers.isComplete
        }
        guard answers.isComplete, answers.statuses.count == answered else {
            let requests = requests.map { String(decoding: $0.bytes.prefix(100), as: UTF8.self).debugDescription }.suffix(50)
            throw WrongAnswers(
                description: "\(answers.statuses.count) answers of \(answered), the last is \(answers.isComplete ? "complete" : "cut")"
                    + ", half-closed: \(halfCloses), \(answers.statuses.suffix(50)) to \(requests.joined(separator: " "))")
        }
    }

    private mutating func harass(_ client: RawHTTPClient) throws {
        let bytes = requests.flatMap(\.bytes)
        let cut = chance(1, of: 2) ? Int.random(in: 0...bytes.count, using: &random) : bytes.count
        let piece = pick([1, 7, 100, 5_000, 1 << 20])
        let pause: UInt32 = pick([0, 0, 0, 100, 1_000])
        var unsent = bytes[..<cut]
        var (stalls, pieces) = (0, 0)
        while !unsent.isEmpty, stalls < 20, pieces < 2_000 {
            if let count = try client.sendAvailable(unsent.prefix(piece)) {
                unsent.removeFirst(count)
                pieces += 1
                if pause > 0, pieces < 30 { usleep(pause) }
            } else {
                stalls += 1
                usleep(1_000)
            }
            if reading == .some, try client.hasBytesToRead(withinMilliseconds: 0) { _ = try client.readSome(atMost: 600) }
        }
        usleep(pick([0, 0, 0, 0, 300, 3_000, 30_000]))
        let ending = Ending.allCases.randomElement(using: &random) ?? .close
        if ending == .halfCloseAndClose || ending == .halfCloseAndReset {
            client.finishWriting()
            if reading == .some { for _ in 0..<pick([0, 1, 5, 200]) where try client.readSome(atMost: 600).isEmpty { break } }
            usleep(pick([0, 0, 1_000, 10_000]))
        }
        if ending == .close || ending == .halfCloseAndClose { client.close() } else { client.reset() }
    }

    // MARK: - Requests

    private mutating func pick<Value>(_ values: [Value]) -> Value { values[Int.random(in: 0..<values.count, using: &random)] }
    private mutating func chance(_ count: Int, of all: Int) -> Bool { Int.random(in: 0..<all, using: &random) < count }
    private func get(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: test\r\n\r\n" }

    private mutating func makeRequest() -> [HostileRequest] {
        switch Int.random(in: 0..<100, using: &random) {
        case ..<35: return [openRequest()]
        case ..<45: return Array(repeating: HostileRequest(get("/openapi.json")), count: pick([3, 10, 30]))
        case ..<55: return Array(repeating: HostileRequest(get("/x")), count: pick([10, 100, 236, 237]))
        case ..<85: return [requestWithToken()]
        case ..<91: return [oddRequest()]
        case ..<96: return [lastRequest()]
        default: return [brokenRequest()]
        }
    }

    private static let openPaths = [
        "/openapi.json", "/openapi.json", "/api/v1/products", "/api/v1/products?limit=100&sort=price", "/api/v1/products/top",
        "/api/v1/products/1", "/api/v1/products/999", "/api/v1/coupons", "/api/v1/coupons/1", "/healthz", "/readyz", "/metrics", "/x",
        "/api/v1/products?cursor=x", "/api/v1/products/%zz", "/api/v1/users/1",
    ]

    private mutating func openRequest() -> HostileRequest {
        let path = pick(Self.openPaths)
        if chance(1, of: 5) { return HostileRequest("HEAD \(path) HTTP/1.1\r\nHost: test\r\n\r\n", isHead: true) }
        return HostileRequest(get(path))
    }

    private mutating func requestWithToken() -> HostileRequest {
        let id = targets.userID
        let token = pick([targets.userToken, targets.userToken, targets.adminToken, targets.userToken + "x", "x", ""])
        let (method, path, body): (String, String, String) = pick([
            ("GET", "/users/\(id)/balance", ""), ("GET", "/users/\(id)/coupons", ""), ("GET", "/users/\(id)/balance/history", ""),
            ("GET", "/users/\(id)/orders", ""), ("POST", "/coupons/1/claims", ""), ("POST", "/coupons/1/claims", ""),
            ("POST", "/coupons/1/claims", String(repeating: " ", count: 60_000)),
            ("POST", "/users/\(id)/balance/charges", #"{"amount": 1000}"#), ("POST", "/users/\(id)/balance/charges", "{"),
            ("POST", "/orders", #"{"items": [{"productId": 1, "quantity": 1}]}"#), ("POST", "/orders/1/cancel", ""),
            ("POST", "/payments", #"{"orderId": 1}"#), ("GET", "/admin/events", ""),
            ("POST", "/products", "[\(String(repeating: "[", count: 900))"),
        ])
        var head = "\(method) /api/v1\(path) HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer \(token)\r\n"
        if !body.isEmpty { head += "Content-Type: application/json\r\n" }
        if method == "POST", chance(1, of: 3) { head += "Idempotency-Key: \(Int.random(in: 0..<50, using: &random))\r\n" }
        if !body.isEmpty, chance(1, of: 5) { head += "Expect: 100-continue\r\n" }
        guard method == "POST", !body.isEmpty, chance(1, of: 2) else {
            return HostileRequest(head + (method == "POST" ? "Content-Length: \(body.utf8.count)\r\n" : "") + "\r\n" + body)
        }
        return HostileRequest(head + "Transfer-Encoding: chunked\r\n\r\n" + chunked(body))
    }

    private mutating func chunked(_ body: String) -> String {
        var (rest, text) = (body[...], "")
        while !rest.isEmpty {
            let chunk = rest.prefix(pick([1, 5, 1_000, 30_000]))
            // Few tiny ones of a long body: what chunked framing may add is bounded.
            let part = rest.count > 1_000 ? rest.prefix(max(chunk.count, 500)) : chunk
            rest = rest.dropFirst(part.count)
            text += String(part.utf8.count, radix: 16) + pick(["", "", ";a=b"]) + "\r\n" + part + "\r\n"
        }
        return text + "0\r\n" + pick(["", "", "Trailer: x\r\n"]) + "\r\n"
    }

    private mutating func oddRequest() -> HostileRequest {
        pick([
            HostileRequest("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n"), HostileRequest("POST /x HTTP/1.1\r\nHost: test\r\n\r\n"),
            HostileRequest("DELETE /healthz HTTP/1.1\r\nHost: test\r\n\r\n"), HostileRequest("\r\n" + get("/healthz")),
            HostileRequest("GET http://test/healthz HTTP/1.1\r\nHost: test\r\n\r\n"),
            HostileRequest("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            HostileRequest(
                "PUT /openapi.json HTTP/1.1\r\nHost: test\r\nContent-Length: 65536\r\n\r\n" + String(repeating: "x", count: 65_536)),
            HostileRequest("GET /healthz HTTP/1.1\r\nHost: test\r\nA: \(String(repeating: "a", count: 15_000))\r\n\r\n"),
        ])
    }

    private mutating func lastRequest() -> HostileRequest {
        pick([
            HostileRequest("GET /openapi.json HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", isLast: true),
            HostileRequest("GET /openapi.json HTTP/1.0\r\n\r\n", isLast: true),
            HostileRequest("HEAD /openapi.json HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", isHead: true, isLast: true),
            HostileRequest("POST /x HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", isLast: true),
        ])
    }

    private mutating func brokenRequest() -> HostileRequest {
        let text: String = pick([
            "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/3.0\r\nHost: test\r\n\r\n", "\u{16}\u{3}\u{1}\r\n\r\n", "GET\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 65537\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "POST / HTTP/1.1\r\nHost: test\r\nExpect: something\r\nContent-Length: 1\r\n\r\n",
            "CONNECT test:80 HTTP/1.1\r\nHost: test\r\n\r\n", "GET / HTTP/1.1\r\nHost: test\r\n folded\r\n\r\n",
            "GET /\(String(repeating: "a", count: 17_000)) HTTP/1.1\r\nHost: test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: test\r\n\(String(repeating: "A: b\r\n", count: 200))\r\n",
        ])
        return HostileRequest(text, isLast: true)
    }
}
