import Foundation
import NIOSSL
import TestSupport
import Testing

@testable import Redis

/// `rediss://` against a server with a certificate made for the test.
@Suite(.serialized) struct TLSTests {
    @Test("commands go through TLS where the certificate is trusted, and nowhere else")
    func trusted() async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let pair = try await TestCertificate(in: folder)
        let port = try TemporaryRedis.freePort()
        let arguments = [
            "--tls-port", "\(port)", "--tls-cert-file", pair.certificate, "--tls-key-file", pair.key, "--tls-ca-cert-file",
            pair.certificate,
            "--tls-auth-clients", "no",
        ]
        try await withTemporaryRedis(arguments: arguments) { redis in
            for host in ["127.0.0.1", "localhost"] {
                let endpoint = try RedisEndpoint(url: "rediss://\(host):\(port)/2")
                try await withClient(endpoint, configure: { $0.tls.trustRoots = .file(pair.certificate) }) { client in
                    let long = String(repeating: "x", count: 100_000)
                    let echo = try await client.send(RedisCommand("ECHO", .string(long)))
                    #expect(echo.string == long)
                    let info = try await client.send(RedisCommand("CLIENT", "INFO"))
                    #expect(info.string?.contains(" db=2 ") == true)
                }
                try await withClient(endpoint, waitsForConnection: false) { client in
                    let error = await #expect(throws: RedisError.self) { _ = try await client.send(RedisCommand("PING")) }
                    #expect(error?.code == .notConnected)
                    let clients = try redis.cli("CLIENT", "LIST")
                    #expect(!clients.contains("name=firstcome"))
                }
            }
        }
    }
}
