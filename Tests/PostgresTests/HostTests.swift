import Foundation
import Postgres
import TestSupport
import Testing

/// Several hosts, of which some are dead, silent or of another role.
@Suite(.serialized) struct HostTests {
    @Test("a dead host is passed over, and named when all are dead")
    func dead() async throws {
        let shared = try await TemporaryPostgres.shared()
        let port = try TemporaryRedis.freePort()
        let missing = PostgresEndpoint.Host.unix(folder: "/nonexistent", port: 5432)
        let closed = PostgresEndpoint.Host.tcp(name: "127.0.0.1", port: port)
        try await besidePool {
            var configuration = shared.configuration()
            configuration.endpoint.hosts = [missing, closed, shared.server.host]
            let connection = try PostgresConnection.open(configuration)
            #expect(connection.host == shared.server.host)
            try connection.run("SELECT 1")
            configuration.endpoint.hosts = [missing, closed]
            let error = failure { () throws(PostgresError) in _ = try PostgresConnection.open(configuration) }
            #expect(error?.code == .unreachable)
            #expect(error?.outcome == .notSent)
            #expect(error?.message.contains("/nonexistent: ") == true)
            #expect(error?.message.contains(":\(port): Connection refused") == true)
        }
    }

    @Test("a name without an address is passed over")
    func unknownName() async throws {
        let shared = try await TemporaryPostgres.shared()
        try await besidePool {
            var configuration = shared.configuration()
            configuration.addressTimeout = .seconds(1)
            // No name server knows a name that ends so (RFC 6761).
            configuration.endpoint.hosts = [.tcp(name: "nowhere.invalid", port: 5432), shared.server.host]
            try PostgresConnection.open(configuration).run("SELECT 1")
        }
    }

    @Test("a silent host is passed over after its share of the time")
    func silent() async throws {
        let shared = try await TemporaryPostgres.shared()
        try await besidePool {
            let server = try TemporaryPostgres()
            defer { server.end() }
            server.pause()
            var configuration = shared.configuration()
            configuration.addressTimeout = .milliseconds(200)
            configuration.endpoint.hosts = [server.host, shared.server.host]
            let connection = try PostgresConnection.open(configuration)
            #expect(connection.host == shared.server.host)
        }
    }

    @Test("a name is looked up, and one that has several addresses is tried at each")
    func localhost() async throws {
        let shared = try await TemporaryPostgres.shared()
        let user = try await besidePool { try shared.makeRole(password: "x") }
        try await besidePool {
            // Often ::1 too, where nobody listens.
            var endpoint = shared.endpoint(user: user, password: "x")
            endpoint.hosts = [.tcp(name: "localhost", port: shared.server.port)]
            let connection = try PostgresConnection.open(PostgresConfiguration(longDeadlines: endpoint))
            #expect(try connection.value("SELECT host(inet_server_addr())", as: String.self) == "127.0.0.1")
        }
    }

    @Test("of a primary and a standby, the role chooses, and after a promotion it chooses anew")
    func roles() async throws {
        try await besidePool {
            let primary = try TemporaryPostgres()
            defer { primary.end() }
            try primary.sql("CREATE TABLE kept (id bigint)")
            let standby = try TemporaryPostgres(.standby(of: primary))
            defer { standby.end() }
            func open(_ role: PostgresEndpoint.Role, _ servers: [TemporaryPostgres]) throws(PostgresError) -> PostgresConnection {
                var configuration = primary.configuration()
                (configuration.endpoint.hosts, configuration.endpoint.role) = (servers.map(\.host), role)
                return try PostgresConnection.open(configuration)
            }
            let both = [standby, primary]
            let wanted: [(PostgresEndpoint.Role, TemporaryPostgres)] = [
                (.any, standby), (.readWrite, primary), (.primary, primary), (.standby, standby), (.readOnly, standby),
                (.preferStandby, standby),
            ]
            for (role, server) in wanted { #expect(try open(role, both).host == server.host, "\(role)") }
            for role in [PostgresEndpoint.Role.standby, .readOnly, .preferStandby] {
                #expect(try open(role, both.reversed()).host == standby.host, "\(role)")
            }
            #expect(try open(.preferStandby, [primary]).host == primary.host)
            for (role, server) in [
                (PostgresEndpoint.Role.readWrite, standby), (.primary, standby), (.standby, primary), (.readOnly, primary),
            ] {
                let error = failure { () throws(PostgresError) in _ = try open(role, [server]) }
                #expect(error?.code == .wrongRole, "\(role)")
                #expect(error?.outcome == .notSent)
            }
            // A write that reached a standby all the same.
            let reader = try open(.standby, both)
            let write = failure { () throws(PostgresError) in try reader.run("INSERT INTO kept VALUES (1)") }
            #expect(write?.kind == .readOnlyTransaction)
            #expect(reader.reported("in_hot_standby") == "on")

            // A primary that is gone leaves nobody to write to, until the standby is promoted.
            primary.stop(.killed)
            let nobody = failure { () throws(PostgresError) in _ = try open(.readWrite, both) }
            #expect(nobody?.code == .wrongRole)
            try standby.sql("SELECT pg_promote()")
            let promoted = try open(.readWrite, [primary, standby])
            #expect(promoted.host == standby.host)
            try promoted.run("INSERT INTO kept VALUES (1)")
            try waitUntil("the session has heard of the promotion") {
                try reader.run("SELECT 1")
                return reader.reported("in_hot_standby") == "off"
            }
        }
    }

    @Test("a session that is read-only by default is not taken for writing")
    func readOnlyByDefault() async throws {
        let shared = try await TemporaryPostgres.shared()
        try await besidePool {
            var configuration = shared.configuration()
            configuration.session.settings["default_transaction_read_only"] = "on"
            configuration.endpoint.role = .readWrite
            #expect(failure { () throws(PostgresError) in _ = try PostgresConnection.open(configuration) }?.code == .wrongRole)
            configuration.endpoint.role = .readOnly
            try PostgresConnection.open(configuration).run("SELECT 1")
        }
    }

    @Test("a server that shuts down, a missing database and a full server say so")
    func refusals() async throws {
        try await besidePool {
            let server = try TemporaryPostgres(settings: [
                "max_connections": "5", "superuser_reserved_connections": "0", "max_wal_senders": "0",
            ])
            defer { server.end() }
            func refusal(database: String = "postgres") -> PostgresError? {
                failure { () throws(PostgresError) in _ = try PostgresConnection.open(server.configuration(database: database)) }
            }
            #expect(refusal(database: "missing")?.code == .server(.unknownDatabase))
            var configuration = server.configuration()
            configuration.endpoint.user = "nobody"
            let stranger = failure { () throws(PostgresError) in _ = try PostgresConnection.open(configuration) }
            #expect(stranger?.code == .server(.notAuthorized))
            var all: [PostgresConnection] = []
            for _ in 1...5 { all.append(try PostgresConnection.open(server.configuration())) }
            #expect(refusal()?.code == .server(.tooManyConnections))
            // A smart shutdown waits for the sessions and lets nobody else in.
            kill(try #require(server.pid), SIGTERM)
            try waitUntil("nobody is let in") { refusal()?.code == .server(.cannotConnectNow) }
            #expect(refusal()?.sqlState == SQLState("57P03"))
            try all[0].run("SELECT 1")
        }
    }
}
