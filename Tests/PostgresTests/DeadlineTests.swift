import Foundation
import Postgres
import TestSupport
import Testing

/// Trips that pass their deadline, and connections that break.
@Suite(.serialized) struct DeadlineTests {
    @Test("a trip that passes its deadline closes the connection, says that the outcome is unknown, and cancels nothing")
    func sleeping() async throws {
        let shared = try await TemporaryPostgres.shared()
        try await withConnection { connection in
            let process = connection.serverProcess
            let error = failure { () throws(PostgresError) in
                _ = try connection.send(within: .milliseconds(200)) { $0.execute(PostgresStatement(nil, "SELECT pg_sleep(600)")) }
            }
            #expect(error?.code == .timedOut)
            #expect(error?.outcome == .unknown)
            #expect(!connection.isOpen)
            let again = failure { () throws(PostgresError) in try connection.run("SELECT 1") }
            #expect(again?.code == .connectionLost)
            #expect(again?.outcome == .notSent)
            // Nobody has cancelled it: the server finds out about the closed connection when it answers.
            try shared.server.wait(for: "active", from: "SELECT state FROM pg_stat_activity WHERE pid = \(process)")
            try shared.server.sql("SELECT pg_terminate_backend(\(process))")
        }
    }

    @Test("a stopped server makes trips and connections pass their deadlines, and nothing of a trip leaves after that")
    func stopped() async throws {
        try await besidePool {
            let server = try TemporaryPostgres()
            defer { server.end() }
            let connection = try PostgresConnection.open(server.configuration())
            try connection.run("CREATE TABLE kept (body bytea)")
            server.pause()
            // More than the socket's buffers take, so that most of it is still here at the deadline.
            let error = failure { () throws(PostgresError) in
                _ = try connection.send(within: .milliseconds(300)) { batch in
                    batch.execute(PostgresStatement(nil, "INSERT INTO kept VALUES ($1)", .bytea)) {
                        $0.bytea(repeatElement(7, count: 8 << 20))
                    }
                }
            }
            #expect(error?.code == .timedOut)
            #expect(error?.outcome == .unknown)
            var configuration = server.configuration()
            configuration.connectTimeout = .milliseconds(300)
            let connecting = failure { () throws(PostgresError) in _ = try PostgresConnection.open(configuration) }
            #expect(connecting?.code == .timedOut)
            #expect(connecting?.outcome == .notSent)
            server.resume()
            let next = try PostgresConnection.open(server.configuration())
            try waitUntil("the first session has ended") {
                try next.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'", as: Int.self) == 1
            }
            #expect(try next.value("SELECT count(*) FROM kept", as: Int.self) == 0)
        }
    }

    /// What happens to an `INSERT` on its way or on the way back, and whether it arrives.
    enum Fault: String, CaseIterable, Sendable {
        case swallowedAnswer, heldRequest, cutAnswer, cutBeforeAnswer
        var arrives: Bool { self != .heldRequest }
        var code: PostgresError.Code { self == .swallowedAnswer || self == .heldRequest ? .timedOut : .connectionLost }
    }

    @Test("an answer that is lost on its way leaves the outcome unknown, and a new connection finds it", arguments: Fault.allCases)
    func proxied(fault: Fault) async throws {
        let shared = try await TemporaryPostgres.shared()
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let proxy = try await FaultProxy(to: shared.server.socket, in: folder.path)
        // libpq looks for a socket by the port's number.
        try FileManager.default.createSymbolicLink(atPath: folder.path + "/.s.PGSQL.5432", withDestinationPath: proxy.socketPath)
        try await besidePool {
            try shared.withDatabase { database in
                var configuration = shared.configuration(database: database)
                let direct = try PostgresConnection.open(configuration)
                try direct.run("CREATE TABLE kept (id bigint)")
                configuration.endpoint.hosts = [.unix(folder: folder.path, port: 5432)]
                let connection = try PostgresConnection.open(configuration)
                try connection.run("SELECT 1")
                switch fault {
                case .swallowedAnswer: proxy.swallowReplies()
                case .heldRequest: proxy.hold()
                // Within the row's description, and before any byte.
                case .cutAnswer: proxy.inject(.cut(afterReplyBytes: 9))
                case .cutBeforeAnswer: proxy.inject(.cut(afterReplyBytes: 0))
                }
                let deadline: Duration = fault.code == .timedOut ? .milliseconds(500) : hangLimit
                let error = failure { () throws(PostgresError) in
                    _ = try connection.send(within: deadline) { batch in
                        batch.begin()
                        batch.execute(PostgresStatement(nil, "INSERT INTO kept VALUES (1) RETURNING id"))
                        batch.commit()
                    }
                }
                #expect(error?.code == fault.code)
                #expect(error?.outcome == .unknown)
                #expect(!connection.isOpen)
                if fault.arrives {
                    try waitUntil("the row is there") { try direct.value("SELECT count(*) FROM kept", as: Int.self) == 1 }
                } else {
                    try waitUntil("the request has reached the proxy") { proxy.holdsRequests }
                    #expect(try direct.value("SELECT count(*) FROM kept", as: Int.self) == 0)
                }
            }
        }
        try await proxy.close()
    }

    // MARK: Ended sessions

    @Test("a session that the server ended between two trips says so, and nothing was sent", arguments: [false, true])
    func terminatedBetween(inTransaction: Bool) async throws {
        let shared = try await TemporaryPostgres.shared()
        try await withConnection { connection in
            if inTransaction { try connection.run("BEGIN") }
            try shared.server.sql("SELECT pg_terminate_backend(\(connection.serverProcess), 60000)")
            let error = failure { () throws(PostgresError) in try connection.run("SELECT 1") }
            #expect(error?.code == .connectionLost)
            #expect(error?.sqlState == SQLState("57P01"))
            #expect(error?.outcome == .notSent)
            #expect(!connection.isOpen)
        }
    }

    @Test("a session that the server ends during a statement says so, and the outcome is unknown")
    func terminatedDuring() async throws {
        let shared = try await TemporaryPostgres.shared()
        try await withConnection { connection in
            let process = connection.serverProcess
            let error = failure { () throws(PostgresError) in
                _ = try connection.send { batch in
                    batch.begin()
                    batch.execute(PostgresStatement(nil, "SELECT pg_terminate_backend(\(process))"))
                    batch.execute(PostgresStatement("sleep", "SELECT pg_sleep(600)"))
                    batch.commit()
                }
            }
            #expect(error?.code == .server(.adminShutdown))
            #expect(error?.outcome == .unknown)
            #expect(!connection.isOpen)
            let query = "SELECT count(*) FROM pg_stat_activity WHERE pid = \(process)"
            try shared.server.wait(for: "0", from: query)
        }
    }

    @Test("a transaction that waits too long for its client is ended by the server")
    func idleInTransaction() async throws {
        let shared = try await TemporaryPostgres.shared()
        try await withConnection {
            $0.session.idleInTransactionTimeout = .milliseconds(50)
        } _: { connection in
            try connection.run("BEGIN")
            try shared.server.wait(for: "0", from: "SELECT count(*) FROM pg_stat_activity WHERE pid = \(connection.serverProcess)")
            let error = failure { () throws(PostgresError) in try connection.send { $0.commit() } }
            #expect(error?.code == .connectionLost)
            #expect(error?.sqlState == SQLState("25P03"))
            #expect(error?.outcome == .notSent)
        }
    }

    @Test("a server of which a process has crashed ends the sessions of others and says so, and nothing was sent")
    func crash() async throws {
        let server = try await besidePool { try TemporaryPostgres() }
        defer { server.end() }
        let error = try await besidePool {
            let victim = try PostgresConnection.open(server.configuration())
            let connection = try PostgresConnection.open(server.configuration())
            // A process that is not done with its last answer could say nothing.
            try server.wait(
                for: "1",
                from: "SELECT count(*) FROM pg_stat_activity WHERE pid = \(connection.serverProcess) AND wait_event = 'ClientRead'")
            // Kills another server process, as the kernel does when memory is short.
            kill(victim.serverProcess, SIGKILL)
            try waitUntil("the session has ended") { kill(connection.serverProcess, 0) != 0 }
            return failure { () throws(PostgresError) in try connection.run("SELECT 1") }
        }
        #expect(error?.code == .connectionLost)
        #expect(error?.sqlState == SQLState("57P02"))
        #expect(error?.outcome == .notSent)
    }
}
