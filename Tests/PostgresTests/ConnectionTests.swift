import Postgres
import TestSupport
import Testing

@Suite struct ConnectionTests {
    @Test("a connection runs a query and reads its row")
    func query() async throws {
        let row = try await withConnection { connection in
            let result = try connection.run("SELECT 41::bigint + 1, 'é한글'")[0]
            return (try result.value(0, 0, as: Int64.self), try result.value(0, 1, as: String.self))
        }
        #expect(row == (42, "é한글"))
    }

    @Test("a connection says which server it has, and is used no more after its end")
    func facts() async throws {
        try await withConnection { connection in
            #expect(connection.serverVersion >= 150_000)
            #expect(connection.reported("in_hot_standby") == "off")
            #expect(!connection.isEncrypted)
            let process = try connection.value("SELECT pg_backend_pid()", as: Int32.self)
            #expect(connection.serverProcess == process)
            connection.close()
            #expect(!connection.isOpen)
            let error = failure { () throws(PostgresError) in try connection.run("SELECT 1") }
            #expect(error?.code == .connectionLost)
            #expect(error?.outcome == .notSent)
        }
    }

    @Test("a session has the settings and the name that it was opened with")
    func session() async throws {
        try await withConnection { configuration in
            configuration.session.applicationName = "lane 1"
            configuration.session.statementTimeout = .milliseconds(61_001)
            configuration.session.lockTimeout = .seconds(62)
            configuration.session.idleInTransactionTimeout = .seconds(63)
            configuration.session.clientConnectionCheckInterval = .seconds(64)
            configuration.session.settings = ["search_path": #""a b\c", public"#, "work_mem": "5MB"]
        } _: { connection in
            let shown = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "client_connection_check_interval"]
            let values = try (shown + ["application_name", "search_path", "work_mem", "client_encoding"]).map {
                try connection.value("SHOW \($0)", as: String.self)
            }
            #expect(values == ["61001ms", "62s", "63s", "64s", "lane 1", #""a b\c", public"#, "5MB", "UTF8"])
        }
    }

    @Test("a server that is started again is reached by a new connection")
    func restart() async throws {
        try await besidePool {
            let server = try TemporaryPostgres()
            defer { server.end() }
            let first = try PostgresConnection.open(server.configuration())
            try first.run("CREATE TABLE kept (id bigint)", "INSERT INTO kept VALUES (7)")
            for ending in [TemporaryPostgres.Ending.fast, .immediate, .killed] {
                try server.restart(ending)
                let again = try PostgresConnection.open(server.configuration())
                #expect(try again.value("SELECT id FROM kept") == 7 as Int64)
            }
            let error = failure { () throws(PostgresError) in try first.run("SELECT 1") }
            // The server has said why before anything was sent.
            #expect(error?.code == .connectionLost)
            #expect(error?.sqlState == SQLState("57P01"))
            #expect(error?.outcome == .notSent)
        }
    }
}
