import HTTPServer
import TestSupport
import Testing
import TraceContext

@Suite("traceparent")
struct TraceParentTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let span = "b7ad6b7169203331"

    @Test(
        "valid values are read, and written as version 00 with the flags that it defines",
        arguments: [
            ("00-\(trace)-\(span)-01", "00-\(trace)-\(span)-01"), ("00-\(trace)-\(span)-00", "00-\(trace)-\(span)-00"),
            ("00-\(trace)-\(span)-03", "00-\(trace)-\(span)-03"), ("00-\(trace)-\(span)-ff", "00-\(trace)-\(span)-03"),
            ("01-\(trace)-\(span)-01", "00-\(trace)-\(span)-01"), ("fe-\(trace)-\(span)-01-what-comes", "00-\(trace)-\(span)-01"),
            ("cc-\(trace)-\(span)-01-", "00-\(trace)-\(span)-01"),
            ("00-00000000000000000000000000000001-0000000000000001-00", "00-00000000000000000000000000000001-0000000000000001-00"),
        ])
    func valid(value: String, written: String) {
        #expect(TraceParent(value)?.description == written)
    }

    @Test(
        "invalid values are no trace",
        arguments: [
            "", "00", "00-\(trace)-\(span)", "00-\(trace)-\(span)-", "00-\(trace)-\(span)-1", "00-\(trace)-\(span)-01-",
            "00-\(trace)-\(span)-01-more", "00-\(trace)-\(span)-011", "01-\(trace)-\(span)-01more", "ff-\(trace)-\(span)-01",
            "00-\(trace.uppercased())-\(span)-01", "00-\(trace)-\(span.uppercased())-01", "00-\(trace)-\(span)-0A",
            "0G-\(trace)-\(span)-01", "00-\(trace.dropLast())g-\(span)-01", "00_\(trace)-\(span)-01", "00-\(trace)_\(span)-01",
            "00-\(trace)-\(span)_01", "00-\(String(repeating: "0", count: 32))-\(span)-01", "00-\(trace)-0000000000000000-01",
            "00-\(trace.dropLast(2))-\(span)-01", " 00-\(trace)-\(span)-01", "0-\(trace)-\(span)-001",
            "00-\(trace)-\(span)-0\u{E9}",
        ])
    func invalid(value: String) {
        #expect(TraceParent(value) == nil)
    }

    @Test("a child is of the same trace, with the same flags and a span of its own")
    func child() throws {
        let parent = try #require(TraceParent("00-\(Self.trace)-\(Self.span)-01"))
        let children = (0..<50).map { _ in parent.child() }
        #expect(Set(children.map(\.parentID)).count == 50 && children.allSatisfy { $0.parentID != 0 && $0.parentID != parent.parentID })
        #expect(children.allSatisfy { $0.traceIDText == Self.trace && $0.flags == 1 })
    }

    @Test("a request has the trace of its only traceparent; an invalid or a repeated one is ignored")
    func request() async throws {
        let handler: HTTPHandler = { .text($0.traceParent?.description ?? "none") }
        let value = "00-\(Self.trace)-\(Self.span)-01"
        try await withClient(handler: handler) { port in
            let client = try RawHTTPClient(port: port)
            #expect(try client.exchange(.get("/")).body == "none")
            #expect(try client.exchange(.get("/", "TraceParent: \t\(value) ")).body == value)
            #expect(try client.exchange(.get("/", "traceparent: \(value)x")).body == "none")
            #expect(try client.exchange(.get("/", "traceparent:")).body == "none")
            #expect(try client.exchange(.get("/", "traceparent: \(value)", "Traceparent: \(value)")).body == "none")
            // Another repeated field is no reason to ignore it.
            #expect(try client.exchange(.get("/", "If-Match: a", "If-Match: b", "traceparent: \(value)")).body == value)
            #expect(try client.exchange(.get("/")).body == "none")
        }
    }
}
