import HTTPServer
import NIOCore
import Testing

@testable import API

@Suite("The console's files")
struct ConsoleTests {
    private static let files = [
        ("/console", "text/html; charset=utf-8"), ("/console/console.css", "text/css; charset=utf-8"),
        ("/console/console.js", "text/javascript; charset=utf-8"), ("/console/icon.svg", "image/svg+xml"),
    ]

    @Test("everybody may read them; browsers may load and call nothing but the service itself, and ask whether their copy is current")
    func headers() async throws {
        try await ApplicationFixture.run { app in
            for (path, type) in Self.files {
                let answer = try await app.send(.get, path)
                #expect(answer.status == 200 && answer.contentType == type && answer.body.readableBytes > 0, "\(path)")
                #expect(
                    answer.header("content-security-policy")
                        == "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
                        + "form-action 'none'; frame-ancestors 'none'")
                #expect(answer.header("x-content-type-options") == "nosniff" && answer.header("referrer-policy") == "no-referrer")
                #expect(answer.header("cache-control") == "no-cache")
                let tag = try #require(answer.header("etag"))
                #expect(try await app.send(.get, path, fields: [("If-None-Match", tag)]).status == 304)
                let packed = try await app.send(.get, path, fields: [("Accept-Encoding", "gzip")])
                #expect(packed.header("content-encoding") == "gzip" && packed.header("etag") != tag)
            }
        }
    }

    @Test("the page keeps to its policy: no script or style within it, and nothing from elsewhere")
    func policy() async throws {
        try await ApplicationFixture.run { app in
            let html = String(buffer: try await app.send(.get, "/console").body)
            for forbidden in ["<style", "style=", " on", "javascript:", "http:", "https:"] {
                let found = forbidden == " on" ? html.contains(#/<[^>]* on[a-z]+=/#) : html.contains(forbidden)
                #expect(!found, "\(forbidden)")
            }
            for script in html.matches(of: #/<script[^>]*>([\s\S]*?)<\/script>/#) { #expect(!script.1.contains { !$0.isWhitespace }) }
            let paths = Set(Self.files.map(\.0))
            for link in html.matches(of: #/(?:src|href)="([^"#]+)"/#) where link.1.hasPrefix("/console") {
                #expect(paths.contains(String(link.1)), "\(link.1)")
            }
        }
    }
}
