import CZlib
import Commerce
import Crypto
import Foundation
import HTTPServer
import JSON
import NIOCore
import Testing

@testable import API
@testable import Services

@Suite("The API document and its page, as they are served")
struct PublishedDocumentTests {
    private static let paths = ["/openapi.json", "/docs"]

    @Test("the document at /openapi.json is the one in the sources, with the operator's bounds of a charge")
    func document() async throws {
        let bounds = Won(2_000)...Won(3_000)
        try await ApplicationFixture.run(policy: Policy(chargeAmounts: bounds)) { app in
            let answer = try await app.send(.get, "/openapi.json")
            #expect(answer.status == 200 && answer.contentType == "application/json")
            let served = try JSONParser.parse(answer.body, maximumDepth: 64)
            let amount = ["components", "schemas", "NewCharge", "properties", "amount"]
            let source = try JSONParser.parse(ByteBuffer(bytes: PackageResources.openapi_json), maximumDepth: 64)
            #expect(served != source)
            #expect(
                served
                    == source.replacing(amount + ["minimum"], by: .integer(2_000)).replacing(amount + ["maximum"], by: .integer(3_000)))
        }
    }

    @Test("the document in the sources names the bounds that are the default")
    func defaultBounds() throws {
        let policy = Policy()
        let source = try JSONParser.parse(ByteBuffer(bytes: PackageResources.openapi_json), maximumDepth: 64)
        #expect(try APIDocument(chargeAmounts: policy.chargeAmounts).root == source)
    }

    @Test("the page shows every operation, every object and every code, and links only to what it has")
    func page() async throws {
        try await ApplicationFixture.run { app in
            let answer = try await app.send(.get, "/docs")
            #expect(answer.status == 200 && answer.contentType == "text/html; charset=utf-8")
            let html = String(buffer: answer.body)
            let anchors = Set(html.matches(of: #/ id="([^"]+)"/#).map { String($0.1) })
            let expected =
                RouteTable.routes.map(\.endpoint.operationID) + ProblemCode.allCases.map { "code-" + $0.rawValue }
                + (try APIDocument(chargeAmounts: Policy().chargeAmounts).root["components"]?["schemas"]?.asMembers ?? [])
                .map { "schema-" + $0.name }
            for anchor in expected { #expect(anchors.contains(anchor), "\(anchor)") }
            for link in html.matches(of: #/href="#([^"]+)"/#) { #expect(anchors.contains(String(link.1)), "\(link.1)") }
            #expect(Set(html.matches(of: #/href="([^#"]+)"/#).map { String($0.1) }) == ["/openapi.json"])
            // Limits, refusals and an example of one operation, as a reader sees them.
            #expect(
                html.contains("1,000 to 1,000,000") && html.contains("BALANCE_LIMIT_EXCEEDED") && html.contains("&quot;amount&quot;: 50000")
            )
        }
    }

    @Test("the page asks for nothing from anywhere, and its policy allows nothing but its own style")
    func policy() async throws {
        try await ApplicationFixture.run { app in
            let answer = try await app.send(.get, "/docs")
            let html = String(buffer: answer.body)
            for outside in ["src=", "url(", "@import", "<script", "<link", "<img", "style=\"", "onclick", "http-equiv"] {
                #expect(!html.contains(outside), "\(outside)")
            }
            let policy = try #require(answer.header("content-security-policy"))
            let style = try #require(html.firstMatch(of: #/<style>([\s\S]*)<\/style>/#)).1
            let digest = try #require(policy.firstMatch(of: #/style-src 'sha256-([^']+)'/#)).1
            #expect(Data(SHA256.hash(data: Data(style.utf8))).base64EncodedString() == digest)
            #expect(policy.hasPrefix("default-src 'none'; "))
            for directive in ["base-uri", "form-action", "frame-ancestors"] {
                #expect(policy.contains("\(directive) 'none'"), "\(directive)")
            }
            #expect(answer.header("x-content-type-options") == "nosniff")
        }
    }

    @Test("gzip is sent to those who take it, and unpacks to the plain bytes", arguments: paths)
    func gzip(path: String) async throws {
        try await ApplicationFixture.run { app in
            let plain = try await app.send(.get, path)
            let packed = try await app.send(.get, path, fields: [("Accept-Encoding", "gzip, deflate, br")])
            #expect(plain.header("content-encoding") == nil && packed.header("content-encoding") == "gzip")
            #expect(plain.header("vary") == "accept-encoding" && packed.header("vary") == "accept-encoding")
            #expect(plain.header("etag") != packed.header("etag") && plain.contentType == packed.contentType)
            #expect(packed.body.readableBytes * 4 < plain.body.readableBytes)
            #expect(try gunzip(packed.body) == plain.body)
        }
    }

    @Test("who has a representation is told so, and gets the other one when its own encoding is another", arguments: paths)
    func notModified(path: String) async throws {
        try await ApplicationFixture.run { app in
            for coding in ["identity", "gzip"] {
                let first = try await app.send(.get, path, fields: [("Accept-Encoding", coding)])
                let tag = try #require(first.header("etag"))
                for field in [tag, "W/\(tag)", "*", "\"a\", \(tag)", "\"a,b\",\(tag) , \"c\""] {
                    let again = try await app.send(.get, path, fields: [("Accept-Encoding", coding), ("If-None-Match", field)])
                    #expect(again.status == 304 && again.body.readableBytes == 0, "\(field)")
                    #expect(again.header("etag") == tag && again.header("content-length") == nil, "\(field)")
                    #expect(again.header("vary") == "accept-encoding" && again.header("cache-control") == first.header("cache-control"))
                }
                for field in ["\"a\"", "a", "", "W/\"a\", \"b\""] {
                    let again = try await app.send(.get, path, fields: [("Accept-Encoding", coding), ("If-None-Match", field)])
                    #expect(again.status == 200 && again.body == first.body, "\(field)")
                }
                let other = coding == "gzip" ? "identity" : "gzip"
                let changed = try await app.send(.get, path, fields: [("Accept-Encoding", other), ("If-None-Match", tag)])
                #expect(changed.status == 200 && changed.header("etag") != tag)
            }
        }
    }

    @Test("requests that come together, and every later one, get the same bytes")
    func together() async throws {
        try await ApplicationFixture.run { app in
            let answers = try await withThrowingTaskGroup(of: HTTPResponse.self) { group in
                for _ in 0..<16 { group.addTask { try await app.send(.get, "/docs") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(answers.map { String(buffer: $0.body) }).count == 1)
        }
    }
}

@Suite("The coding that Accept-Encoding asks for")
struct ContentCodingTests {
    @Test(
        "gzip is chosen where it is taken and the plain bytes are not preferred",
        arguments: [
            "gzip", "GZIP", "x-gzip", "*", "gzip, br", "br, gzip", " gzip ;q=0.5", "gzip;Q=0.001", "gzip\t; q=1.000",
            "identity;q=0.5, gzip",
            "gzip;q=0.5, identity;q=0.5", "*;q=0.1", "identity;q=0, *", "deflate,gzip;q=1.0,*;q=0.5", ",,gzip,,",
        ])
    func gzip(field: String) { #expect(ContentCoding(acceptedBy: field) == .gzip) }

    @Test(
        "everything else gets the plain bytes",
        arguments: [
            nil, "", "identity", "br", "gzip;q=0", "gzip;q=0.000", "*;q=0", "gzip;q=0, *", "gzip;q=0.5, identity",
            "gzip;q=0.4, identity;q=0.5",
            "gzip;q=2", "gzip;q=1.001", "gzip;q=0.0001", "gzip;q=", "gzip;q=x", "gzip;q=-1", "gzip;x=1", "gzip;q=1;q=1", "gzipped", "g zip",
            "identity;q=0, gzip;q=0",
        ] as [String?])
    func identity(field: String?) { #expect(ContentCoding(acceptedBy: field) == .identity) }
}

@Suite("Compression")
struct GzipTests {
    @Test("what was compressed unpacks to the same bytes, and compresses to the same bytes again", arguments: [0, 1, 1_000, 200_000])
    func roundTrip(count: Int) throws {
        let plain = ByteBuffer(bytes: (0..<count).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) })
        let packed = try #require(Gzip.compressed(plain))
        #expect(try gunzip(packed) == plain)
        #expect(Gzip.compressed(plain) == packed)
    }
}

@Suite("HTML")
struct HTMLTests {
    @Test("text cannot become markup, and backticks become code")
    func escapes() {
        var html = HTML()
        html.element("p", [("title", "\"><script>")]) { $0.prose("a < b & `c > 'd'`") }
        #expect(html.text == "<p title=\"&quot;&gt;&lt;script&gt;\">a &lt; b &amp; <code>c &gt; &#39;d&#39;</code></p>")
    }
}

/// The bytes behind a gzip stream, read by zlib.
private func gunzip(_ packed: ByteBuffer) throws -> ByteBuffer {
    var stream = z_stream()
    // As inflateInit2(), which is a macro. 16 asks for the gzip format.
    try #require(inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK)
    defer { inflateEnd(&stream) }
    var plain = ByteBuffer()
    var status = Z_OK
    packed.withUnsafeReadableBytes { input in
        _ = plain.writeWithUnsafeMutableBytes(minimumWritableBytes: 1 << 20) { target in
            stream.next_in = input.bindMemory(to: UInt8.self).baseAddress
            stream.avail_in = UInt32(input.count)
            stream.next_out = target.bindMemory(to: UInt8.self).baseAddress
            stream.avail_out = UInt32(target.count)
            status = inflate(&stream, Z_FINISH)
            return target.count - Int(stream.avail_out)
        }
    }
    try #require(status == Z_STREAM_END)
    return plain
}
