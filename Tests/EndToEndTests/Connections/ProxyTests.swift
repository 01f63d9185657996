import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("serve behind nginx, as configured in the deployment folder")
    struct ProxyTests {}
}

extension EndToEnd.ProxyTests {
    private static let nginx = "/usr/sbin/nginx"

    /// The configuration for operators, with one service and the paths and the port of a test.
    private static func configuration(in folder: String, port: Int) throws -> String {
        let parts = URL(filePath: #filePath).pathComponents
        let root = NSString.path(withComponents: Array(parts[..<(parts.lastIndex(of: "Tests") ?? 0)]))
        let example = try String(contentsOfFile: root + "/Sources/firstcome/Deployment/nginx.conf", encoding: .utf8)
        let changes = [
            ("listen 443 ssl", "listen 127.0.0.1:\(port) ssl"), ("server 10.0.0.11:8080", "server unix:\(folder)/http.sock"),
            ("    server 10.0.0.12:8080 max_fails=1 fail_timeout=1s;\n", ""),
            ("    server 10.0.0.13:8080 max_fails=1 fail_timeout=1s;\n", ""),
            ("/etc/nginx/tls/", folder + "/"),
        ]
        let servers = try changes.reduce(example) { text, change in
            try #require(text.contains(change.0), "the example has no \(change.0)")
            return text.replacing(change.0, with: change.1)
        }
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map { "\($0)_temp_path \(folder)/\($0);" }
        return """
            worker_processes 1;
            daemon off;
            user root;
            pid \(folder)/nginx.pid;
            error_log \(folder)/nginx.log;
            events {}
            http {
            access_log off;
            \(temporary.joined(separator: "\n"))
            \(servers)}
            """
    }

    @Test(
        "requests, refusals and bodies pass, connections to the service are kept, and operators' routes stay inside",
        .enabled(if: FileManager.default.isExecutableFile(atPath: nginx), "nginx is not installed"))
    func nginx() async throws {
        try await withDataFolder { folder in
            #expect(try await Tool.run("demo", "--data", folder).status == 0)
            let certificate = try await TestCertificate(in: folder)
            let port = try TemporaryRedis.freePort()
            try Self.configuration(in: folder, port: port).write(toFile: folder + "/nginx.conf", atomically: true, encoding: .utf8)
            try await withServe(folder, ["--host", "unix:\(folder)/http.sock"]) { serve in
                let proxy = try await ChildProcess.start(
                    [Self.nginx, "-p", folder, "-c", folder + "/nginx.conf"], errors: .file(folder + "/nginx.err"))
                do {
                    try await Self.check(folder, certificate, port: port)
                    await proxy.end()
                } catch {
                    await proxy.end()
                    throw error
                }
                #expect(try await serve.end() == 0)
            }
        }
    }

    private static func check(_ folder: String, _ certificate: TestCertificate, port: Int) async throws {
        func curl(_ arguments: [String]) async throws -> String {
            try await Tool.run(
                program: ["curl", "--silent", "--max-time", "60", "--cacert", certificate.certificate, "--write-out", " %{http_code}"]
                    + arguments
            ).standardOutput
        }
        let url = "https://localhost:\(port)"
        try await eventually("the proxy answers for the service") { try await curl([url + "/healthz"]) == #"{"status":"ok"} 200"# }
        let bearer = "Authorization: Bearer \(try await Tool.run("token", "--data", folder, "--user", "1").lines[0])"
        let claim = ["-X", "POST", "-H", bearer, "-H", "Idempotency-Key: one", url + "/api/v1/coupons/1/claims"]
        let first = try await curl(claim)
        #expect(first.hasSuffix(" 201") && first.contains("issuedCouponId"))
        #expect(try await curl(claim) == first)
        let charge = try await curl(
            ["-H", bearer, "-H", "Content-Type: application/json", "-d", #"{"amount": 5000}"#, url + "/api/v1/users/1/balance/charges"])
        #expect(charge.hasSuffix(" 201"), "\(charge)")
        try Data(repeating: 0x20, count: 65_537).write(to: URL(filePath: folder + "/large"))
        let large = try await curl(["-H", bearer, "--data-binary", "@\(folder)/large", url + "/api/v1/orders"])
        #expect(large.contains("PAYLOAD_TOO_LARGE") && large.hasSuffix(" 413"), "\(large)")
        for path in ["/metrics", "/readyz"] { #expect(try await curl([url + path]).hasSuffix(" 404")) }

        func connections() async throws -> Int {
            let metrics = try await offPool {
                try RawHTTPClient(unixSocketPath: folder + "/http.sock").exchange("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").body
            }
            return try #require(metrics.firstMatch(of: #/\nfirstcome_http_connections_accepted_total (\d+)\n/#).flatMap { Int($0.1) })
        }
        let before = try await connections()
        for _ in 0..<20 { #expect(try await curl([url + "/api/v1/products/1"]).hasSuffix(" 200")) }
        // The one that asks, and at most one that the refused body has ended.
        #expect(try await connections() - before <= 2)
    }
}
