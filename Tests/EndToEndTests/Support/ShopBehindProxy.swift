import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport
import Testing

/// Three services on one PostgreSQL and one Redis, behind HAProxy with the configuration of the deployment folder.
final class ShopBehindProxy: Sendable {
    static let haproxy = "/usr/sbin/haproxy"
    static var isInstalled: Bool { FileManager.default.isExecutableFile(atPath: haproxy) }

    /// The folder with the configuration files for proxies, PostgreSQL and Redis.
    static let deployment: String = {
        let parts = URL(filePath: #filePath).pathComponents
        let root = NSString.path(withComponents: Array(parts[..<(parts.lastIndex(of: "Tests") ?? 0)]))
        return root + "/Sources/firstcome/Deployment"
    }()

    let postgres: TemporaryPostgres
    let redis: TemporaryRedis
    /// Of HAProxy, in PEM.
    let certificate: String
    /// Where clients connect.
    let port: Int
    private let metricsPort: Int
    private let folder: String
    private let flags: [String]
    private let servicePorts: [Int]
    private let services = Mutex<[Int: ServeProcess]>([:])
    private let client: HTTPClient

    /// Runs `body` with all of it, which ends with `body`.
    ///
    /// - Parameters:
    ///   - flags: of each service, beside those that say where store, Redis and proxy are.
    ///   - environment: of the first service alone.
    static func run(
        _ flags: [String] = [], firstService environment: [String: String] = [:], _ body: (ShopBehindProxy) async throws -> Void
    ) async throws {
        try await withDataFolder { folder in
            let certificate = try await TestCertificate(in: folder)
            let (postgres, redis) = try await offPool {
                // Suitable for a store: it flushes.
                let postgres = try TemporaryPostgres(settings: ["fsync": "on"])
                try postgres.sql("CREATE DATABASE shop TEMPLATE template0")
                return (postgres, try TemporaryRedis(arguments: ["--include", deployment + "/redis.conf"], onTCP: true))
            }
            let shop = try ShopBehindProxy(folder, flags, certificate, postgres, redis)
            var failure: (any Error)?
            do {
                for number in 0..<3 { try await shop.start(number, environment: number == 0 ? environment : [:]) }
                let proxy = try await shop.startProxy(certificate)
                do {
                    try await body(shop)
                    await proxy.end()
                } catch {
                    await proxy.end()
                    throw error
                }
            } catch {
                failure = error
            }
            for serve in shop.services.withLock({ Array($0.values) }) { _ = try? await serve.end(SIGKILL) }
            try? await shop.client.shutdown()
            try? await offPool { postgres.end() }
            try? await offPool { redis.end() }
            if let failure { throw failure }
        }
    }

    private init(
        _ folder: String, _ flags: [String], _ certificate: TestCertificate, _ postgres: TemporaryPostgres, _ redis: TemporaryRedis
    ) throws {
        (self.folder, self.flags, self.postgres, self.redis) = (folder, flags, postgres, redis)
        self.certificate = certificate.certificate
        servicePorts = try (0..<3).map { _ in try TemporaryRedis.freePort() }
        (port, metricsPort) = (try TemporaryRedis.freePort(), try TemporaryRedis.freePort())
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .file(certificate.certificate)
        client = HTTPClient(
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: HTTPClient.Configuration(tlsConfiguration: tls))
    }

    var storeURL: String { "postgresql:///shop?host=\(postgres.folder.path)&user=\(postgres.role)" }
    var redisURL: String { "redis://127.0.0.1:\(redis.port ?? 0)" }

    // MARK: Services

    func start(_ number: Int, environment: [String: String] = [:]) async throws {
        let place = ["--port", String(servicePorts[number]), "--store", storeURL, "--redis", redisURL]
        let advised = ["--trusted-proxies", "127.0.0.1", "--drain-delay", "3s", "--access-log", accessLog(number)]
        let serve = try await ServeProcess.start(
            folder, place + advised + flags, environment: environment, log: folder + "/serve-\(number).log")
        services.withLock { $0[number] = serve }
    }

    func service(_ number: Int) throws -> ServeProcess { try #require(services.withLock { $0[number] }) }

    func accessLog(_ number: Int) -> String { folder + "/access-\(number).log" }

    /// Tokens of users, or of an operator by `--admin`.
    func tokens(_ choice: String...) async throws -> [String] { try await Tool.run(["token", "--store", storeURL] + choice).lines }

    // MARK: The proxy

    private func startProxy(_ certificate: TestCertificate) async throws -> ChildProcess {
        let both = try [certificate.certificate, certificate.key].map { try String(contentsOfFile: $0, encoding: .utf8) }
        try both.joined().write(toFile: folder + "/proxy.pem", atomically: true, encoding: .utf8)
        var variables = ["FIRSTCOME_BIND": "127.0.0.1:\(port)", "FIRSTCOME_CERTIFICATE": folder + "/proxy.pem"]
        variables["FIRSTCOME_PROXY_METRICS"] = "127.0.0.1:\(metricsPort)"
        // Twice as many descriptors need not be allowed here.
        variables["FIRSTCOME_CONNECTIONS"] = "400"
        for (name, port) in zip("ABC", servicePorts) { variables["FIRSTCOME_\(name)"] = "127.0.0.1:\(port)" }
        let proxy = try await ChildProcess.start(
            [Self.haproxy, "-db", "-f", Self.deployment + "/haproxy.cfg"], environment: variables, errors: .file(folder + "/haproxy.log"))
        do {
            for number in 0..<3 { try await haveProxySee(number, ready: true) }
        } catch {
            await proxy.end()
            throw error
        }
        return proxy
    }

    /// Waits until the proxy's check of a service has found it ready, or not ready.
    func haveProxySee(_ number: Int, ready: Bool) async throws {
        let name = ["a", "b", "c"][number]
        let line = #"haproxy_server_status{proxy="ready",server="\#(name)",state="UP"} \#(ready ? 1 : 0)"#
        try await eventually("the proxy sees \(name) \(ready ? "ready" : "not ready")") {
            // HAProxy may not listen yet.
            let page = try? await page(of: HTTPClientRequest(url: "http://127.0.0.1:\(metricsPort)/metrics"))
            return page?.text.contains("\n\(line)\n") == true
        }
    }

    // MARK: Requests

    struct Answer: Sendable {
        let status: Int
        let text: String
    }

    /// Sends one request through the proxy, and does not repeat it.
    func call(_ method: HTTPMethod, _ path: String, body: String? = nil, token: String? = nil) async throws -> Answer {
        var request = HTTPClientRequest(url: "https://localhost:\(port)/api/v1\(path)")
        request.method = method
        if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: body))
        }
        return try await page(of: request)
    }

    private func page(of request: HTTPClientRequest) async throws -> Answer {
        let answer = try await client.execute(request, timeout: .seconds(60))
        return Answer(status: Int(answer.status.code), text: String(buffer: try await answer.body.collect(upTo: 4 << 20)))
    }

    /// Sends requests from an address of this machine, one after the other over one connection, and returns their status codes.
    func statuses(of paths: [String], from address: String, headers: [String] = []) async throws -> [String] {
        let common = ["curl", "--silent", "--ipv4", "--max-time", "60", "--cacert", certificate, "--interface", address]
        let urls = paths.flatMap { ["--output", "/dev/null", "https://localhost:\(port)\($0)"] }
        let output = try await Tool.run(
            program: common + headers.flatMap { ["--header", $0] } + ["--write-out", "%{http_code}\\n"] + urls)
        return output.lines
    }
}
