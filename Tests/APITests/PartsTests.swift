import Commerce
import HTTPServer
import Histograms
import JSON
import NIOCore
import NIOEmbedded
import Store
import Testing

@testable import API
@testable import Services

@Suite("Keys of running requests")
struct RunningKeysTests {
    private func key(_ scope: String, _ key: String, fingerprint: UInt8 = 0) -> IdempotencyKey {
        IdempotencyKey(scope: scope, key: key, fingerprint: [fingerprint])
    }

    @Test("a key belongs to one request at a time, whatever its body, and is free again afterwards")
    func taking() {
        let keys = InFlightKeys()
        #expect(keys.take(key("user:1", "a")))
        #expect(!keys.take(key("user:1", "a")))
        #expect(!keys.take(key("user:1", "a", fingerprint: 1)))
        #expect(keys.take(key("user:2", "a")) && keys.take(key("user:1", "b")))
        keys.release(key("user:1", "a"))
        #expect(keys.take(key("user:1", "a", fingerprint: 2)))
    }

    @Test("a fingerprint tells method, path and body apart, and no two parts run together")
    func fingerprints() {
        func fingerprint(_ method: HTTPMethod, _ path: String, _ body: String) -> [UInt8] {
            let request = HTTPRequest(method: method, path: path, body: ByteBuffer(string: body), eventLoop: EmbeddedEventLoop())
            return IdempotencyKey.fingerprint(of: request)
        }
        let all = [
            fingerprint(.post, "/a", ""), fingerprint(.patch, "/a", ""), fingerprint(.post, "/b", ""), fingerprint(.post, "/a", "{}"),
            fingerprint(.post, "/a", " {}"), fingerprint(.post, "/", "a"), fingerprint(.post, "/a\n", ""),
        ]
        #expect(all.allSatisfy { $0.count == 32 })
        #expect(Set(all.dropLast()).count == all.count - 1)
        #expect(fingerprint(.post, "/a", "{}") == fingerprint(.post, "/a", "{}"))
    }

    @Test("a user and an operator of the same name have different scopes")
    func scopes() throws {
        let headers = ["Idempotency-Key": "k"]
        let request = HTTPRequest(method: .post, path: "/", headers: headers, eventLoop: EmbeddedEventLoop())
        let user = try IdempotencyKey(request, of: .user(UserID(1)))?.scope
        let admin = try IdempotencyKey(request, of: .admin(subject: "1"))?.scope
        #expect(user == "user:1" && admin == "admin:1")
    }
}

@Suite("The rendered top list")
struct TopProductsAnswerTests {
    private func top(version: UInt64, units: Int64) -> TopProducts {
        let items = [RankedProduct(rank: 1, product: Samples.product, unitsSold: units)]
        return TopProducts(window: [BusinessDay(number: 20_775)], timeZone: "Asia/Seoul", asOf: Samples.now, items: items, version: version)
    }

    @Test("it is rendered once for a version, and anew for the next")
    func versions() throws {
        var answer = TopProductsAnswer()
        func units(_ top: TopProducts) throws -> JSONValue? {
            try answer.response(for: top).json["items"]?.elements?.first?["unitsSold"]
        }
        #expect(try units(top(version: 1, units: 5)) == .integer(5))
        #expect(try units(top(version: 1, units: 6)) == .integer(5))
        #expect(try units(top(version: 2, units: 6)) == .integer(6))
    }
}

@Suite("The Prometheus text format")
struct PrometheusTextTests {
    @Test("labels and help are escaped, whole numbers have no fraction")
    func escaping() {
        var text = PrometheusText()
        text.write(
            Metric(
                "m", .gauge, "a\nb\\c",
                samples: [(labels: [("l", "x\"y\\z\n")], value: 3), (labels: [], value: 0.5), (labels: [], value: -1)]))
        #expect(String(buffer: text.buffer) == "# HELP m a\\nb\\\\c\n# TYPE m gauge\nm{l=\"x\\\"y\\\\z\\n\"} 3\nm 0.5\nm -1\n")
    }

    @Test("every status code that an answer may have is counted by itself, and what is not listed together")
    func codes() {
        for (place, code) in AnswerCode.all.enumerated() {
            #expect(AnswerCode.place(of: code) == place && AnswerCode.label(place) == String(code))
        }
        for code in ProblemCode.allCases { #expect(AnswerCode.all.contains(code.status), "\(code)") }
        #expect(AnswerCode.place(of: 299) == AnswerCode.others && AnswerCode.label(AnswerCode.others) == "other")
        #expect(AnswerCode.others == AnswerCode.all.count && AnswerCode.places == AnswerCode.others + 1)
    }

    @Test(
        "a latency falls into the bucket of its bound, one above into the next",
        arguments: [(0, 0), (100_000, 0), (100_001, 1), (1_000_000_000, 12), (10_000_000_000, 15), (10_000_000_001, 16)])
    func buckets(nanoseconds: Int64, bucket: Int) {
        let counters = RouteCounters()
        counters.count(status: 503, nanoseconds: nanoseconds)
        var total = RouteCounters.Total()
        counters.add(to: &total)
        #expect(total.latencies.counts.firstIndex(of: 1) == bucket && total.requests == 1)
        #expect(total.codes.firstIndex(of: 1) == AnswerCode.place(of: 503) && total.latencies.sum == Int(nanoseconds))
        #expect(RouteCounters.bounds.indices.map { Int(RouteCounters.bounds[$0]) } == HistogramBounds.times.values)
    }
}
