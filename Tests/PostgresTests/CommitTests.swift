import Foundation
import Postgres
import Synchronization
import TestSupport
import Testing

/// Notices, and commits that the server confirms with a warning.
@Suite(.serialized) struct CommitTests {
    private static func say(_ level: String, _ text: String) -> PostgresStatement {
        PostgresStatement(nil, "DO $$ BEGIN RAISE \(level) '\(text)'; END $$")
    }

    @Test("notices reach the handler and the results, with the statement they belong to")
    func notices() async throws {
        let heard = Mutex<[PostgresNotice]>([])
        try await withConnection(onNotice: { notice in heard.withLock { $0.append(notice) } }) { connection in
            let results = try connection.send { batch in
                batch.begin()
                batch.execute(Self.say("NOTICE", "first"))
                batch.execute(PostgresStatement(nil, "SELECT 1"))
                batch.execute(Self.say("WARNING", "second 한글"))
                batch.commit()
            }
            #expect(results.notices == heard.withLock { $0 })
            #expect(results.notices.map(\.statement) == [1, 3])
            #expect(results.notices.map(\.message) == ["first", "second 한글"])
            #expect(results.notices.map(\.severity) == ["NOTICE", "WARNING"])
            #expect(results.notices.map(\.isWarning) == [false, true])
            #expect(results.notices.map(\.sqlState.code) == ["00000", "01000"])
            let next = try connection.run("SELECT 1")
            #expect(next.notices.isEmpty)
        }
    }

    @Test("a commit whose wait for a standby is interrupted is in doubt: its warning is no success")
    func interrupted() async throws {
        // No standby has this name, so that every commit waits.
        let settings = ["synchronous_standby_names": "nobody", "synchronous_commit": "local"]
        let server = try await besidePool { try TemporaryPostgres(settings: settings) }
        defer { server.end() }
        for usesCommit in [true, false] {
            let cancelled = try await interrupt("pg_cancel_backend", server, usesCommit: usesCommit)
            #expect(cancelled?.code == .commitInDoubt)
            #expect(cancelled?.sqlState == SQLState("01000"))
            #expect(cancelled?.outcome == .unknown)
            #expect(cancelled?.statement == (usesCommit ? 2 : 1))
            #expect(cancelled?.detail?.contains("committed locally") == true)
            let terminated = try await interrupt("pg_terminate_backend", server, usesCommit: usesCommit)
            #expect(terminated?.code == .connectionLost)
            #expect(terminated?.sqlState == SQLState("57P01"))
            #expect(terminated?.outcome == .unknown)
        }
        // All four are committed all the same, on this server.
        #expect(try await besidePool { try server.sql("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'doubtful%'") } == "4")
    }

    /// Commits a new table, calls a function for the session while the commit waits for a standby, and returns the error.
    private func interrupt(_ function: String, _ server: TemporaryPostgres, usesCommit: Bool) async throws -> PostgresError? {
        let session = Session()
        async let committing = besidePool {
            var configuration = server.configuration()
            configuration.session.settings["synchronous_commit"] = "on"
            let connection = try PostgresConnection.open(configuration)
            session.process.withLock { $0 = connection.serverProcess }
            let error = failure { () throws(PostgresError) in
                try connection.send { batch in
                    if usesCommit { batch.begin() }
                    batch.execute(PostgresStatement(nil, "CREATE TABLE doubtful_\(connection.serverProcess) (id bigint)"))
                    if usesCommit { batch.commit() }
                }
            }
            #expect(!connection.isOpen)
            return error
        }
        try await besidePool {
            try waitUntil("the commit waits") {
                guard let process = session.process.withLock({ $0 }) else { return false }
                return try server.sql("SELECT wait_event FROM pg_stat_activity WHERE pid = \(process)") == "SyncRep"
            }
            try server.sql("SELECT \(function)(\(session.process.withLock { $0 } ?? 0))")
        }
        return try await committing
    }

    private final class Session: Sendable { let process = Mutex<Int32?>(nil) }
}
