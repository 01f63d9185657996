import Foundation
import Postgres
import TestSupport
import Testing

/// TLS by `sslmode`, and passwords, on 127.0.0.1 and 127.0.0.2. The server's certificate is for `localhost` and 127.0.0.1.
@Suite(.serialized) struct EncryptionTests {
    private static func open(_ endpoint: PostgresEndpoint) throws(PostgresError) -> PostgresConnection {
        try PostgresConnection.open(PostgresConfiguration(longDeadlines: endpoint))
    }

    /// Whether the connection is encrypted, by the server's word; the error's code where there is none.
    private static func result(
        _ shared: SharedPostgres, _ user: String, _ address: String, _ mode: PostgresEndpoint.Encryption, root: String? = nil
    ) throws -> String {
        var endpoint = shared.endpoint(address, user: user, password: "right password")
        (endpoint.encryption, endpoint.rootCertificate) = (mode, root)
        do throws(PostgresError) {
            let connection = try open(endpoint)
            let encrypted = try connection.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", as: Bool.self)
            return encrypted == connection.isEncrypted ? encrypted ? "encrypted" : "plain" : "contradiction"
        } catch {
            return error.outcome == .notSent ? "\(error.code)" : "\(error)"
        }
    }

    @Test("sslmode decides whether the connection is encrypted and what is checked")
    func modes() async throws {
        let shared = try await TemporaryPostgres.shared()
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let wrong = try await TestCertificate(in: folder).certificate
        try await besidePool {
            let user = try shared.makeRole(password: "right password")
            func result(_ address: String, _ mode: PostgresEndpoint.Encryption, _ root: String? = nil) throws -> String {
                try Self.result(shared, user, address, mode, root: root)
            }
            let right = shared.certificate
            #expect(try result("127.0.0.1", .disable) == "plain")
            #expect(try result("127.0.0.1", .allow) == "plain")
            #expect(try result("127.0.0.1", .prefer) == "encrypted")
            #expect(try result("127.0.0.1", .require) == "encrypted")
            #expect(try result("127.0.0.1", .verifyCA, right) == "encrypted")
            #expect(try result("127.0.0.1", .verifyFull, right) == "encrypted")
            #expect(try result("localhost", .verifyFull, right) == "encrypted")
            // The certificate names another host.
            #expect(try result("127.0.0.2", .verifyCA, right) == "encrypted")
            #expect(try result("127.0.0.2", .verifyFull, right) == "insecure")
            // The certificate is not trusted, or none is.
            for mode in [PostgresEndpoint.Encryption.require, .verifyCA, .verifyFull] {
                #expect(try result("127.0.0.1", mode, wrong) == "insecure")
            }
            #expect(try result("127.0.0.1", .verifyFull, folder.path + "/missing.pem") == "insecure")
        }
    }

    @Test("a server without TLS is refused where TLS is required")
    func withoutTLS() async throws {
        try await besidePool {
            let server = try TemporaryPostgres(
                addresses: ["127.0.0.1"], access: ["local all all trust", "host all all 127.0.0.1/32 trust"])
            defer { server.end() }
            var endpoint = PostgresEndpoint(hosts: [.tcp(name: "127.0.0.1", port: server.port)], user: server.role, database: "postgres")
            for mode in PostgresEndpoint.Encryption.allCases where mode != .verifyCA && mode != .verifyFull {
                endpoint.encryption = mode
                let error = failure { () throws(PostgresError) in #expect(try !Self.open(endpoint).isEncrypted) }
                #expect(error?.code == (mode == .require ? .insecure : nil))
            }
        }
    }

    @Test("a large trip goes through TLS")
    func large() async throws {
        let shared = try await TemporaryPostgres.shared()
        try await besidePool {
            let user = try shared.makeRole(password: "x")
            var endpoint = shared.endpoint(user: user, password: "x")
            endpoint.encryption = .require
            let connection = try Self.open(endpoint)
            let bytes = (0..<(8 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let results = try connection.send { batch in
                for _ in 1...3 { batch.execute(PostgresStatement("mirror", "SELECT $1", .bytea)) { $0.bytea(bytes) } }
            }
            #expect(try (0..<3).allSatisfy { try results[$0].value(0, 0, as: [UInt8].self) == bytes })
        }
    }

    // MARK: Passwords

    @Test("a wrong or missing password is an error of its own that does not repeat it, and other hosts are not asked")
    func wrongPassword() async throws {
        let shared = try await TemporaryPostgres.shared()
        try await besidePool {
            let user = try shared.makeRole(password: "right password")
            for given in ["wrong password", nil] {
                var endpoint = shared.endpoint(user: user, password: given)
                // libpq would look for a file of passwords.
                endpoint.options["passfile"] = "/nonexistent"
                endpoint.hosts.append(shared.server.host)
                let error = try #require(failure { () throws(PostgresError) in _ = try Self.open(endpoint) })
                #expect(error.code == .server(.wrongPassword))
                #expect(error.outcome == .notSent)
                var printed = "\(error)" + String(reflecting: error)
                dump(error, to: &printed)
                #expect(!printed.contains("wrong password"))
                #expect(given == nil ? printed.contains("none is given") : printed.contains(user))
            }
        }
    }

    @Test("a password comes from the URL, from beside it, or from a file")
    func sources() async throws {
        let shared = try await TemporaryPostgres.shared()
        let folder = TemporaryFolder()
        defer { folder.remove() }
        try await besidePool {
            let password = "pä:ss/w@rd"
            let user = try shared.makeRole(password: password)
            let file = folder.path + "/passwords"
            try Data("127.0.0.1:*:*:\(user):pä\\:ss/w@rd\n".utf8).write(to: URL(filePath: file))
            chmod(file, 0o600)
            let place = "127.0.0.1:\(shared.server.port)/postgres"
            let endpoints = [
                try PostgresEndpoint(url: "postgresql://\(user):p%C3%A4%3Ass%2Fw%40rd@\(place)"),
                try PostgresEndpoint(url: "postgresql://\(user)@\(place)", password: password),
                try PostgresEndpoint(url: "postgresql://\(user)@\(place)?passfile=\(file)"),
            ]
            for endpoint in endpoints { #expect(try Self.open(endpoint).value("SELECT current_user::text", as: String.self) == user) }
        }
    }

    @Test("a message of the server that repeats the password is shown without it")
    func repeated() async throws {
        let shared = try await TemporaryPostgres.shared()
        try await besidePool {
            let user = try shared.makeRole(password: "geheim42")
            let notices = Notices()
            let configuration = PostgresConfiguration(longDeadlines: shared.endpoint(user: user, password: "geheim42"))
            let connection = try PostgresConnection.open(configuration) { notices.all.append($0) }
            let error = try #require(failure { () throws(PostgresError) in try connection.run("SELECT geheim42 FROM pg_class") })
            #expect(error.message.contains("***"))
            #expect(!"\(error) \(error.detail ?? "")".contains("geheim42"))
            try connection.run("DO $$ BEGIN RAISE NOTICE 'it is geheim42'; END $$")
            #expect(notices.all.map(\.message) == ["it is ***"])
        }
    }

    private final class Notices { var all: [PostgresNotice] = [] }
}
