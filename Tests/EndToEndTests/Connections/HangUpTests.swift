import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

extension EndToEnd {
    @Suite("Clients that hang up or read slowly")
    struct HangUpTests {}
}

extension EndToEnd.HangUpTests {
    /// A crash must be over at once; the backtrace of a debug build takes seconds.
    static let withoutBacktrace = ["SWIFT_BACKTRACE": "enable=no"]

    private static let attempts = 200

    private static func request(_ line: String) -> String { "\(line) HTTP/1.1\r\nHost: test\r\n\r\n" }

    /// How many bytes the whole answer to a request has.
    private static func answerBytes(_ line: String, port: Int) throws -> Int {
        let client = try RawHTTPClient(port: port)
        var (answer, count) = (AnswerStream(), 0)
        try client.converse(Array(request(line).utf8)) { bytes in
            try answer.take(bytes)
            count += bytes.count
            return answer.statuses.isEmpty || !answer.isComplete
        }
        return count
    }

    /// Counts of each size that add up to the sum, with as few in all as this simple search finds.
    private static func counts(of sizes: [Int], sum: Int) -> [Int]? {
        guard let size = sizes.last else { return nil }
        guard sizes.count > 1 else { return sum % size == 0 ? [sum / size] : nil }
        for count in stride(from: sum / size, through: 0, by: -1) {
            if let rest = counts(of: sizes.dropLast(), sum: sum - count * size) { return rest + [count] }
        }
        return nil
    }

    @Test("a client that is gone when exactly a full buffer of its answers waits does not end the process")
    func goneAtTheHighWaterMark() async throws {
        try await withDataFolder { folder in
            // With coupons to list, the first request takes long enough for the others to arrive meanwhile.
            #expect(try await Tool.run("demo", "--data", folder).status == 0)
            try await withServe(folder, environment: Self.withoutBacktrace) { serve in
                let survived = try await offPool {
                    let cheap = ["GET /healthz", "GET /x", "GET /api/v1/users/1"]
                    let sizes = try cheap.map { try Self.answerBytes($0, port: serve.port) }
                    // The mark at which answers are flushed, and sums beside it, as far as the sizes add up to them.
                    let fillings = [65_536, 65_536, 65_536, 65_535, 65_537, 65_534, 65_538].compactMap { Self.counts(of: sizes, sum: $0) }
                    guard !fillings.isEmpty else { throw RawHTTPClient.Failure.malformed("no answers of \(sizes) bytes fill the buffer") }
                    for attempt in 0..<Self.attempts {
                        let counts = fillings[attempt % fillings.count]
                        var pipeline = ["GET /api/v1/coupons", "POST /x", "GET /openapi.json"]
                        for (line, count) in zip(cheap, counts) { pipeline += Array(repeating: line, count: count) }
                        pipeline += Array(repeating: "GET /healthz", count: 8)
                        guard let client = try? RawHTTPClient(port: serve.port) else { return attempt }
                        try client.send(pipeline.map(Self.request).joined())
                        if attempt % 2 == 0 { client.close() } else { client.reset() }
                        // On the one loop of the service this is answered after what the client left behind.
                        let health = try? RawHTTPClient(port: serve.port).exchange(Self.request("GET /healthz"))
                        guard health?.status == 200 else { return attempt }
                    }
                    return Self.attempts
                }
                #expect(survived == Self.attempts, "ended after that many attempts: \(serve.standardError)")
                #expect(serve.isRunning)
                #expect(try await serve.end() == 0)
            }
        }
    }

    @Test("100,000 pipelined requests in one write are all answered, in order")
    func hundredThousand() async throws {
        let kinds = [("GET /healthz", 200), ("GET /x", 404), ("GET /api/v1/users/1", 401)]
        var random = SeededGenerator()
        let order = (0..<100_000).map { _ in Int.random(in: 0..<kinds.count, using: &random) }
        let requests = kinds.map { Array(Self.request($0.0).utf8) }
        let bytes = order.flatMap { requests[$0] }
        try await withDataFolder { folder in
            try await withServe(folder, environment: Self.withoutBacktrace) { serve in
                let statuses = try await offPool {
                    let client = try RawHTTPClient(port: serve.port, timeoutMilliseconds: 60_000)
                    var answers = AnswerStream()
                    try client.converse(bytes) { read in
                        try answers.take(read)
                        return answers.statuses.count < order.count || !answers.isComplete
                    }
                    return answers.statuses
                }
                #expect(statuses == order.map { kinds[$0].1 }, "\(random), \(statuses.count) answers")
            }
        }
    }

    @Test("SIGTERM lets a slow reader have every byte of its answers", arguments: [false, true])
    func drainedSlowReader(halfCloses: Bool) async throws {
        try await withDataFolder { folder in
            try await withServe(folder, ["--port", "0", "--drain-timeout", "120s"]) { serve in
                let (answers, begun) = try await offPool {
                    let document = Self.request("GET /openapi.json")
                    // What is answered to a client that reads nothing: the last of it is too much for the sockets' buffers.
                    let probe = try RawHTTPClient(port: serve.port, receiveBufferBytes: 4_096)
                    try probe.send(String(repeating: document, count: 200))
                    let first = try Self.settledDocuments(answeredAt: serve.port)
                    probe.reset()
                    let client = try RawHTTPClient(port: serve.port, timeoutMilliseconds: 60_000, receiveBufferBytes: 4_096)
                    try client.send(String(repeating: document, count: first))
                    if halfCloses { client.finishWriting() }
                    let begun = try Self.settledDocuments(answeredAt: serve.port) - first
                    serve.send(SIGTERM)
                    while (try? RawHTTPClient(port: serve.port)) != nil { usleep(1_000) }
                    var answers = AnswerStream()
                    while case let bytes = try client.readSome(atMost: 16_384), !bytes.isEmpty { try answers.take(bytes) }
                    return (answers, begun)
                }
                #expect(begun > 0 && answers.statuses.count >= begun, "\(answers.statuses.count) of \(begun) answers arrived")
                #expect(answers.isComplete && answers.statuses.allSatisfy { $0 == 200 })
                #expect(try await serve.wait() == 0)
            }
        }
    }

    /// How many requests for the API document were answered, once that does not change any more.
    private static func settledDocuments(answeredAt port: Int) throws -> Int {
        var (last, unchanged) = (0, 0)
        while last == 0 || unchanged < 40 {
            usleep(5_000)
            let now = try documents(answeredAt: port)
            unchanged = now == last ? unchanged + 1 : 0
            last = now
        }
        return last
    }

    /// How many requests for the API document the service has answered.
    private static func documents(answeredAt port: Int) throws -> Int {
        let metrics = try RawHTTPClient(port: port).exchange(request("GET /metrics")).body
        let counted = metrics.split(separator: "\n").filter {
            $0.hasPrefix("firstcome_http_requests_total{") && $0.contains("\"/openapi.json\"")
        }
        return counted.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.reduce(0, +)
    }
}
