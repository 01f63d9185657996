import Foundation
import HTTPServer
import JSON
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
    @Suite("serve with --cors-origin", .serialized)
    struct BrowserTests {}
}

/// A server of web pages, at an origin of its own.
private final class PageServer: Sendable {
    private let server: HTTPListener
    var port: Int { server.port ?? 0 }

    init(_ page: @escaping @Sendable () -> String) async throws {
        server = HTTPListener(
            configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0), eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            handler: { _ in HTTPResponse(status: 200, contentType: "text/html; charset=utf-8", body: ByteBuffer(string: page())) },
            refusalResponse: { .text(status: $0.status, "") }, logger: Logger(label: "pages") { _ in SwiftLogNoOpLogHandler() })
        try await server.start()
    }

    func close() async { await server.drain(deadline: .zero) }
}

extension EndToEnd.BrowserTests {
    private static let chromium = "/usr/bin/chromium"

    /// A page that calls the service and writes down what it could read, as JSON.
    private static func page(_ service: String, token: String) -> String {
        """
        <!doctype html><meta charset="utf-8"><pre id="result">running</pre><script>
        const api = "\(service)/api/v1", authorization = "Bearer \(token)", log = [];
        async function call(name, path, options) {
            try {
                const answer = await fetch(api + path, options), body = await answer.json();
                const read = field => answer.headers.get(field);
                log.push({ name, status: answer.status, code: body.code ?? null, etag: read("etag") !== null,
                    replayed: read("idempotent-replayed"), challenge: read("www-authenticate") !== null });
            } catch (error) { log.push({ name, status: 0, code: error.name }); }
        }
        (async () => {
            const claim = { method: "POST", headers: { "Authorization": authorization, "Idempotency-Key": "key-1" } };
            await call("campaign", "/coupons/1");
            await call("claim", "/coupons/1/claims", claim);
            await call("again", "/coupons/1/claims", claim);
            await call("no token", "/coupons/1/claims", { method: "POST" });
            await call("order", "/orders", { method: "POST", headers: { "Authorization": authorization, "Content-Type": "application/json" },
                body: JSON.stringify({ items: [{ productId: 1, quantity: 1 }] }) });
            await call("missing", "/nowhere");
            document.getElementById("result").textContent = JSON.stringify(log);
        })();
        </script>
        """
    }

    /// What the page has written when all its calls have ended.
    private static func result(_ url: String, profile: String) async throws -> String {
        let output = try await Tool.run(program: [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
            "--user-data-dir=\(profile)", "--virtual-time-budget=60000", "--dump-dom", url,
        ])
        let match = try #require(output.standardOutput.firstMatch(of: #/<pre id="result">([^<]*)</pre>/#), "\(output)")
        return String(match.1)
    }

    @Test(
        "a page of the listed origin claims with a token and reads answers and refusals; of another origin it reads nothing",
        .enabled(if: FileManager.default.isExecutableFile(atPath: chromium), "chromium is not installed"))
    func browser() async throws {
        let content = Mutex("")
        let pages = try await PageServer { content.withLock { $0 } }
        try await withDataFolder { folder in
            #expect(try await Tool.run("demo", "--data", folder).status == 0)
            let token = try await Tool.run("token", "--data", folder, "--user", "1").lines[0]
            let origin = "http://127.0.0.1:\(pages.port)"
            try await withServe(folder, ["--port", "0", "--cors-origin", "https://shop.example,\(origin)", "--log-level", "debug"]) {
                serve in
                let guest = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1))
                try await eventually("the service is ready") { try await guest.get("/readyz").status == 200 }
                content.withLock { $0 = Self.page("http://127.0.0.1:\(serve.port)", token: token) }
                let text = try await Self.result(origin + "/", profile: folder + "/profile-1")
                let calls = try #require(try JSONParser.parse(ByteBuffer(string: text)).elements, "\(text)")
                func member(_ call: Int, _ name: String) -> JSONValue? { calls[call][name] }
                #expect(calls.map { $0["status"]?.int } == [200, 201, 201, 401, 201, 404], "\(text)")
                #expect(member(0, "etag") == .bool(true) && member(2, "replayed") == .string("true"), "\(text)")
                #expect(member(3, "code") == .string("UNAUTHENTICATED") && member(3, "challenge") == .bool(true), "\(text)")
                // One preflight for each path and kind of request; the second claim uses the first one's.
                let preflights = serve.standardError.split(separator: "\n").filter { $0.contains("method=OPTIONS") }
                #expect(preflights.count { $0.contains("path=/api/v1/coupons/1/claims") } == 1, "\(preflights)")
                #expect(preflights.count == 2, "\(preflights)")

                // The same page by another name is of another origin.
                let other = try await Self.result("http://localhost:\(pages.port)/", profile: folder + "/profile-2")
                let refused = try #require(try JSONParser.parse(ByteBuffer(string: other)).elements, "\(other)")
                #expect(
                    refused.count == 6 && refused.allSatisfy { $0["status"]?.int == 0 && $0["code"]?.string == "TypeError" }, "\(other)")
                #expect(try await serve.end() == 0)
            }
        }
        await pages.close()
    }

    @Test(
        "an origin that no browser sends is an error in words",
        arguments: [
            ("https://shop.example/", "leave out the path"), ("shop.example", "scheme"), ("https://Shop.example", "lowercase"),
            ("https://shop.example:443", "default port"), ("null", "any site can send null"), ("https://a.example,*", "cannot be combined"),
            ("https://a.example,,https://b.example", "scheme"),
        ])
    func malformed(origin: String, reason: String) async throws {
        let output = try await Tool.run("serve", "--data", "/tmp/unused", "--cors-origin=\(origin)")
        #expect(output.status == 64 && output.standardOutput.isEmpty, "\(output)")
        #expect(output.standardError.contains("--cors-origin") && output.standardError.contains(reason), "\(output)")
    }

    @Test("the flag may be repeated, and its variable names several origins")
    func several() async throws {
        func expectOrigins(_ serve: ServeProcess, _ origins: [String]) async throws {
            let guest = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1))
            for origin in origins {
                let answer = try await guest.get("/healthz", headers: ["Origin": origin])
                #expect(answer[header: "access-control-allow-origin"] == origin && answer[header: "vary"] == "origin")
                #expect(
                    answer[header: "access-control-expose-headers"]?.contains("ETag, Location, Retry-After, Idempotent-Replayed") == true)
            }
            #expect(try await guest.get("/healthz", headers: ["Origin": "https://c.example"])[header: "access-control-allow-origin"] == nil)
        }
        let origins = ["https://a.example", "http://localhost:3000"]
        try await withDataFolder { folder in
            let flags = origins.flatMap { ["--cors-origin", $0] }
            try await withServe(folder, ["--port", "0"] + flags) { try await expectOrigins($0, origins) }
            let variable = ["FIRSTCOME_CORS_ORIGIN": origins.joined(separator: ", ")]
            try await withServe(folder, environment: variable) { try await expectOrigins($0, origins) }
        }
    }
}
