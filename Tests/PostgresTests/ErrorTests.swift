import Foundation
import Postgres
import Synchronization
import TestSupport
import Testing

/// Errors of the server, each caused for real where a test can.
@Suite struct ErrorTests {
    private static let tables = [
        "CREATE TEMP TABLE parents (id bigint CONSTRAINT parent_key PRIMARY KEY)",
        """
        CREATE TEMP TABLE children (
            id bigint CONSTRAINT child_key UNIQUE, parent bigint CONSTRAINT child_parent REFERENCES parents, stock bigint NOT NULL DEFAULT 0,
            span int4range, CONSTRAINT stock_left CHECK (stock >= 0), CONSTRAINT apart EXCLUDE USING gist (span WITH &&))
        """,
        "INSERT INTO parents VALUES (1)", "INSERT INTO children VALUES (1, 1, 5, '[1,3)')",
    ]

    private static let statements: [(String, SQLState.Kind, String, String?)] = [
        ("INSERT INTO children VALUES (1)", .uniqueViolation, "23505", "child_key"),
        ("UPDATE children SET stock = -1", .checkViolation, "23514", "stock_left"),
        ("UPDATE children SET parent = 9", .foreignKeyViolation, "23503", "child_parent"),
        ("UPDATE children SET stock = NULL", .notNullViolation, "23502", nil),
        ("INSERT INTO children (span) VALUES ('[2,4)')", .exclusionViolation, "23P01", "apart"),
        ("SELECT * FROM nowhere", .undefinedTable, "42P01", nil),
        ("CREATE TEMP TABLE parents ()", .duplicateTable, "42P07", nil),
        ("SELEC 1", .syntaxError, "42601", nil),
        ("SELECT 9223372036854775807 + 1", .numberOutOfRange, "22003", nil),
        ("SELECT 1 / 0", .other, "22012", nil),
    ]

    @Test("an error of the server has its kind, its SQLSTATE and the violated constraint", arguments: statements)
    func kinds(sql: String, kind: SQLState.Kind, state: String, constraint: String?) async throws {
        try await withConnection { connection in
            for table in Self.tables { try connection.run(table) }
            let error = failure { () throws(PostgresError) in try connection.run("SELECT 1", sql) }
            #expect(error?.code == .server(kind))
            #expect(error?.sqlState == SQLState(state))
            #expect(error?.constraint == constraint)
            #expect(error?.statement == 1)
            #expect(error?.outcome == .refused)
            #expect(connection.isOpen)
            #expect(try connection.value("SELECT 1", as: Int.self) == 1)
        }
    }

    @Test(
        "what a test cannot cause has its kind as well",
        arguments: [
            ("53100", SQLState.Kind.diskFull), ("53200", .outOfMemory), ("57P02", .crashShutdown), ("25P03", .idleInTransactionTimeout),
        ])
    func raised(state: String, kind: SQLState.Kind) async throws {
        try await withConnection { connection in
            let error = failure { () throws(PostgresError) in try connection.run("DO $$ BEGIN RAISE 'x' USING ERRCODE = '\(state)'; END $$")
            }
            #expect(error?.code == .server(kind))
            try connection.run("SELECT 1")
        }
    }

    @Test("an error's values of rows are in its detail, and in no description")
    func detail() async throws {
        try await withConnection { connection in
            try connection.run("CREATE TEMP TABLE people (name text UNIQUE)", "INSERT INTO people VALUES ('김민준')")
            let error = try #require(failure { () throws(PostgresError) in try connection.run("INSERT INTO people VALUES ('김민준')") })
            #expect(error.detail?.contains("김민준") == true)
            #expect(error.table == "people")
            var printed = "\(error)" + String(reflecting: error)
            dump(error, to: &printed)
            #expect(!printed.contains("김민준"))
        }
    }

    @Test("a write in a read-only transaction, without a right, or with a lost statement has its kind")
    func rights() async throws {
        try await withConnection { connection in
            let readOnly = failure { () throws(PostgresError) in try connection.run("BEGIN READ ONLY", "CREATE TABLE never (id bigint)") }
            #expect(readOnly?.kind == .readOnlyTransaction)
            try connection.rollBack(within: hangLimit)
            let noRight = failure { () throws(PostgresError) in try connection.run("SET LOCAL ROLE pg_monitor", "SELECT * FROM pg_authid") }
            #expect(noRight?.kind == .insufficientPrivilege)
            let statement = PostgresStatement("lost", "SELECT 1")
            try connection.send { $0.execute(statement) }
            try connection.run("DEALLOCATE lost")
            #expect(failure { () throws(PostgresError) in try connection.send { $0.execute(statement) } }?.kind == .undefinedStatement)
        }
    }

    @Test("a lock that is not free in time, or at once, is an error of its own")
    func locks() async throws {
        let shared = try await TemporaryPostgres.shared()
        try await besidePool {
            try shared.withDatabase { database in
                var configuration = shared.configuration(database: database)
                let holder = try PostgresConnection.open(configuration)
                configuration.session.lockTimeout = .milliseconds(20)
                let waiter = try PostgresConnection.open(configuration)
                try holder.run("CREATE TABLE locked (id bigint)")
                try holder.run("BEGIN", "LOCK locked")
                for sql in ["LOCK locked", "LOCK locked NOWAIT"] {
                    let error = failure { () throws(PostgresError) in try waiter.run("BEGIN", sql) }
                    #expect(error?.kind == .lockNotAvailable)
                    #expect(error?.statement == 1)
                    try waiter.rollBack(within: hangLimit)
                }
            }
        }
    }

    @Test("a statement that runs for too long, or is cancelled by somebody, is an error of its own")
    func cancelled() async throws {
        try await withConnection {
            $0.session.statementTimeout = .milliseconds(30)
        } _: { connection in
            let error = failure { () throws(PostgresError) in try connection.run("SELECT pg_sleep(600)") }
            #expect(error?.kind == .statementCancelled)
            #expect(error?.outcome == .refused)
            #expect(connection.isOpen)
            let own = failure { () throws(PostgresError) in try connection.run("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(600)")
            }
            #expect(own?.kind == .statementCancelled)
        }
    }

    @Test("a transaction that meets another's write fails with serialization failure")
    func serialization() async throws {
        let shared = try await TemporaryPostgres.shared()
        try await besidePool {
            try shared.withDatabase { database in
                let one = try PostgresConnection.open(shared.configuration(database: database))
                let other = try PostgresConnection.open(shared.configuration(database: database))
                try one.run("CREATE TABLE rows (id bigint)", "INSERT INTO rows VALUES (1)")
                try one.run("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT * FROM rows")
                try other.run("UPDATE rows SET id = 2")
                let error = failure { () throws(PostgresError) in try one.run("UPDATE rows SET id = 3") }
                #expect(error?.kind == .serializationFailure)
                try one.rollBack(within: hangLimit)
                #expect(try one.value("SELECT id FROM rows", as: Int.self) == 2)
            }
        }
    }

    @Test("two transactions that wait for each other end: one with a deadlock, one with success")
    func deadlock() async throws {
        let holders = Holders()
        async let one = holders.lock(1, then: 2)
        async let other = holders.lock(2, then: 1)
        let kinds = try await [one, other]
        #expect(kinds.compactMap(\.self) == [.deadlockDetected])
    }

    /// Two sessions that each hold one lock and then ask for the other's.
    private final class Holders: Sendable {
        private let count = Mutex(0)

        func lock(_ first: Int, then second: Int) async throws -> SQLState.Kind? {
            try await withConnection {
                $0.session.settings["deadlock_timeout"] = "50ms"
            } _: { [self] connection in
                try connection.run("BEGIN", "SELECT pg_advisory_xact_lock(77, \(first))")
                count.withLock { $0 += 1 }
                try waitUntil("both hold a lock") { count.withLock { $0 == 2 } }
                return failure { () throws(PostgresError) in try connection.run("SELECT pg_advisory_xact_lock(77, \(second))", "COMMIT") }?
                    .kind
            }
        }
    }
}
