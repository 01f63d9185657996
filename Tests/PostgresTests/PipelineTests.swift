import Foundation
import Postgres
import TestSupport
import Testing

@Suite struct PipelineTests {
    private static let square = PostgresStatement("square", "SELECT $1 * $1", .int8)

    @Test("a trip of many statements brings all results in their order")
    func many() async throws {
        let count = 3_000
        try await withConnection { connection in
            let results = try connection.send { batch in
                for number in 0..<count { batch.execute(Self.square) { $0.int8(Int64(number)) } }
            }
            #expect(results.count == count)
            #expect(try (0..<count).allSatisfy { try results[$0].value(0, 0, as: Int.self) == $0 * $0 })
        }
    }

    @Test("a trip whose statements and results are each larger than the socket's buffers ends")
    func large() async throws {
        let (count, size) = (40, 1 << 20)
        try await withConnection { connection in
            let statement = PostgresStatement("mirror", "SELECT $1", .bytea)
            let results = try connection.send { batch in
                for number in 0..<count {
                    batch.execute(statement) { $0.bytea(repeatElement(UInt8(number), count: size)) }
                }
            }
            for number in 0..<count {
                let bytes = try results[number].field(0, 0).bytes
                #expect(bytes?.count == size && bytes?.first == UInt8(number) && bytes?.last == UInt8(number))
            }
        }
    }

    @Test("a trip without a statement sends nothing")
    func empty() async throws {
        try await withConnection { connection in
            let results = try connection.send { _ in }
            #expect(results.count == 0)
            #expect(try connection.value("SELECT 1", as: Int.self) == 1)
        }
    }

    @Test("a trip without BEGIN is one transaction, and one with BEGIN stays open until its end")
    func transactions() async throws {
        try await withConnection { connection in
            try connection.run("CREATE TEMP TABLE kept (id bigint)")
            let error = failure { () throws(PostgresError) in
                try connection.run("INSERT INTO kept VALUES (1)", "SELECT 1 / 0", "INSERT INTO kept VALUES (2)")
            }
            #expect(error?.outcome == .refused)
            #expect(connection.transaction == .none)
            #expect(try connection.value("SELECT count(*) FROM kept", as: Int.self) == 0)
            try connection.send { batch in
                batch.begin()
                batch.execute(PostgresStatement(nil, "INSERT INTO kept VALUES (3)"))
            }
            #expect(connection.transaction == .open)
            try connection.send { $0.commit() }
            #expect(connection.transaction == .none)
            try connection.send { batch in
                batch.begin()
                batch.execute(PostgresStatement(nil, "INSERT INTO kept VALUES (4)"))
                batch.rollBack()
            }
            #expect(try connection.value("SELECT sum(id)::bigint FROM kept", as: Int.self) == 3)
        }
    }

    @Test("an error in the middle says which statement failed, and the later ones are not run")
    func middle() async throws {
        try await withConnection { connection in
            try connection.run("CREATE TEMP TABLE steps (id bigint PRIMARY KEY)", "CREATE SEQUENCE pg_temp.ran")
            let insert = PostgresStatement("insert step", "INSERT INTO steps SELECT $1 FROM nextval('pg_temp.ran')", .int8)
            let error = failure { () throws(PostgresError) in
                try connection.send { batch in
                    batch.begin()
                    for id in [1, 2, 1, 3, 4] as [Int64] { batch.execute(insert) { $0.int8(id) } }
                    batch.commit()
                }
            }
            #expect(error?.kind == .uniqueViolation)
            #expect(error?.outcome == .refused)
            #expect(error?.statement == 3)
            #expect(error?.statementName == "insert step")
            #expect("\(String(describing: error))".contains("later statements were not run"))
            #expect(connection.transaction == .failed)
            // Until it is rolled back, the transaction takes nothing else.
            #expect(failure { () throws(PostgresError) in try connection.run("SELECT 1") }?.kind == .failedTransaction)
            try connection.rollBack(within: hangLimit)
            #expect(connection.transaction == .none)
            // A sequence keeps its number through a rollback: three inserts were begun, the two later ones were not.
            #expect(try connection.value("SELECT last_value FROM pg_temp.ran", as: Int.self) == 3)
            #expect(try connection.value("SELECT count(*) FROM steps", as: Int.self) == 0)
        }
    }

    @Test("the first of several faulty statements is the error")
    func severalErrors() async throws {
        try await withConnection { connection in
            let error = failure { () throws(PostgresError) in
                try connection.run("SELECT 1", "SELECT nothing", "SELECT 1 / 0")
            }
            #expect(error?.sqlState == SQLState("42703"))
            #expect(error?.statement == 1)
        }
    }

    @Test("COMMIT of a failed transaction is an error, though the server calls it a success")
    func commitOfFailed() async throws {
        try await withConnection { connection in
            _ = failure { () throws(PostgresError) in try connection.run("BEGIN", "SELECT 1 / 0") }
            #expect(connection.transaction == .failed)
            let error = failure { () throws(PostgresError) in try connection.send { $0.commit() } }
            #expect(error?.kind == .failedTransaction)
            #expect(error?.outcome == .refused)
            #expect(connection.transaction == .none)
        }
    }

    @Test("a constraint that fires at the commit makes the trip fail, with COMMIT and without")
    func deferred() async throws {
        try await withConnection { connection in
            try connection.run("CREATE TEMP TABLE late (id bigint CONSTRAINT once UNIQUE DEFERRABLE INITIALLY DEFERRED)")
            let twice = PostgresStatement("twice", "INSERT INTO late VALUES (1), (1)")
            let explicit = failure { () throws(PostgresError) in
                try connection.send { batch in
                    batch.begin()
                    batch.execute(twice)
                    batch.commit()
                }
            }
            let implicit = failure { () throws(PostgresError) in try connection.send { $0.execute(twice) } }
            #expect([explicit?.kind, implicit?.kind] == [.uniqueViolation, .uniqueViolation])
            #expect([explicit?.statement, implicit?.statement] == [2, 1])
            #expect([explicit?.constraint, implicit?.constraint] == ["once", "once"])
            #expect([explicit?.outcome, implicit?.outcome] == [.refused, .refused])
            #expect(connection.transaction == .none)
            #expect(try connection.value("SELECT count(*) FROM late", as: Int.self) == 0)
        }
    }

    @Test(
        "a statement that copies data, or is empty, closes the connection instead of blocking it",
        arguments: ["COPY pg_class TO STDOUT", ""])
    func notForTrips(sql: String) async throws {
        try await withConnection { connection in
            let error = failure { () throws(PostgresError) in try connection.run("SELECT 1", sql) }
            #expect(error?.code == .protocolViolation)
            #expect(error?.outcome == .unknown)
            #expect(!connection.isOpen)
        }
    }
}

// MARK: - Prepared statements

@Suite struct PreparedStatementTests {
    private func prepared(_ connection: PostgresConnection) throws -> [String] {
        try connection.run("SELECT name FROM pg_prepared_statements ORDER BY name")[0].rows.map { try $0.value(0) }
    }

    @Test("a statement is prepared once on each connection, however often it is used")
    func once() async throws {
        let statement = PostgresStatement("one more", "SELECT $1 + 1", .int8)
        try await withConnection { connection in
            for round in 1...3 {
                let results = try connection.send { batch in for _ in 1...5 { batch.execute(statement) { $0.int8(41) } } }
                #expect(try results[4].value(0, 0, as: Int.self) == 42, "round \(round)")
            }
            #expect(try prepared(connection) == ["one more"])
            let times = try connection.value(
                "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE name = 'one more'", as: Int.self)
            #expect(times == 15)
        }
    }

    @Test("a statement whose preparation was skipped or refused is prepared by its next use")
    func afterFailure() async throws {
        let skipped = PostgresStatement("skipped", "SELECT $1", .int8)
        let refused = PostgresStatement("refused", "SELECT id FROM pg_temp.missing WHERE id = $1", .int8)
        try await withConnection { connection in
            let first = failure { () throws(PostgresError) in
                try connection.send { batch in
                    batch.execute(refused) { $0.int8(1) }
                    batch.execute(skipped) { $0.int8(1) }
                }
            }
            #expect(first?.kind == .undefinedTable)
            #expect(first?.statement == 0)
            #expect(first?.statementName == "refused")
            #expect(try prepared(connection) == [])
            try connection.run("CREATE TEMP TABLE missing (id bigint)")
            let results = try connection.send { batch in
                batch.execute(skipped) { $0.int8(9) }
                batch.execute(refused) { $0.int8(1) }
            }
            #expect(try results[0].value(0, 0, as: Int.self) == 9)
            #expect(try prepared(connection) == ["refused", "skipped"])
        }
    }

    @Test("a statement stays prepared when its transaction is rolled back")
    func afterRollback() async throws {
        let statement = PostgresStatement("stays", "SELECT 1")
        try await withConnection { connection in
            _ = failure { () throws(PostgresError) in
                try connection.send { batch in
                    batch.begin()
                    batch.execute(statement)
                    batch.execute(PostgresStatement(nil, "SELECT 1 / 0"))
                }
            }
            try connection.rollBack(within: hangLimit)
            #expect(try connection.send { $0.execute(statement) }[0].value(0, 0, as: Int.self) == 1)
        }
    }

    @Test("two statements with one name are refused before anything is sent")
    func conflict() async throws {
        let (one, same) = (PostgresStatement("name", "SELECT 1"), PostgresStatement("name", "SELECT 1"))
        let other = PostgresStatement("name", "SELECT 2")
        try await withConnection { connection in
            for _ in 1...2 {
                let error = failure { () throws(PostgresError) in
                    try connection.send { batch in
                        batch.execute(one)
                        batch.execute(other)
                    }
                }
                #expect(error?.code == .invalidParameter)
                #expect(error?.outcome == .notSent)
                try connection.send { batch in
                    batch.execute(one)
                    batch.execute(same)
                }
            }
        }
    }

    @Test("a statement whose table was changed fails once and is then prepared anew")
    func outdated() async throws {
        let statement = PostgresStatement("all columns", "SELECT * FROM changing")
        try await withConnection { connection in
            try connection.run("CREATE TEMP TABLE changing (a bigint)", "INSERT INTO changing VALUES (1)")
            for columns in 1...3 {
                #expect(try connection.send { $0.execute(statement) }[0].columnCount == columns)
                try connection.run("ALTER TABLE changing ADD COLUMN \("abcd".dropFirst(columns).prefix(1)) bigint")
                let error = failure { () throws(PostgresError) in try connection.send { $0.execute(statement) } }
                #expect(error?.kind == .outdatedStatement)
                #expect(error?.outcome == .refused)
            }
        }
    }
}
