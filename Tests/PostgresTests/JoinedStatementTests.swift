import Postgres
import TestSupport
import Testing

/// What ``PostgresBatch/executeAsOne(_:)`` makes one statement of.
@Suite struct JoinedStatementTests {
    private static let square = PostgresStatement("square", "SELECT $1 * $1", .int8)
    private static let add = PostgresStatement("add", "INSERT INTO kept SELECT * FROM unnest($1, $2)", .int8Array, .textArray)
    private static let rename = PostgresStatement("rename", "UPDATE kept SET name = $1 WHERE id = $2", .text, .int8)
    private static let remove = PostgresStatement("remove", "DELETE FROM kept WHERE id = $1", .int8)

    @Test("statements that are executed as one have one result, and each takes effect with its own parameters")
    func asOne() async throws {
        try await withConnection { connection in
            try connection.run("CREATE TEMP TABLE kept (id bigint, name text)", "INSERT INTO kept VALUES (1, 'a'), (2, 'b'), (3, 'c')")
            for round in 0..<3 {
                let results = try connection.send { batch in
                    batch.begin()
                    batch.executeAsOne { batch in
                        batch.execute(Self.add) {
                            $0.int8Array([10, 11])
                            $0.textArray(["x", "y"])
                        }
                        batch.execute(Self.rename) {
                            $0.text("round \(round)")
                            $0.int8(1)
                        }
                        if round > 0 { batch.execute(Self.remove) { $0.int8(Int64(round) + 1) } }
                    }
                    batch.executeAsOne { _ in }
                    batch.execute(Self.square) { $0.int8(7) }
                    batch.commit()
                }
                #expect(results.count == 4)
                #expect(try results[2].value(0, 0, as: Int.self) == 49)
                let rows = "SELECT string_agg(id || ' ' || name, ', ' ORDER BY id) FROM kept"
                let kept = ["1 round \(round)"] + [2, 3].filter { $0 > round + 1 }.map { $0 == 2 ? "2 b" : "3 c" }
                let added = [10, 11].flatMap { id in repeatElement("\(id) \(id == 10 ? "x" : "y")", count: round + 1) }
                #expect(try connection.value(rows, as: String.self) == (kept + added).joined(separator: ", "))
            }
        }
    }

    @Test("of statements that are executed as one, an error undoes all, and a fault of one says which it is")
    func failingAsOne() async throws {
        try await withConnection { connection in
            try connection.run("CREATE TEMP TABLE kept (id bigint CHECK (id < 100), name text)", "INSERT INTO kept VALUES (1, 'a')")
            func change(_ ids: [Int64], _ name: String) throws(PostgresError) {
                try connection.send { batch in
                    batch.executeAsOne { batch in
                        batch.execute(Self.rename) {
                            $0.text(name)
                            $0.int8(1)
                        }
                        batch.execute(Self.add) {
                            $0.int8Array(ids)
                            $0.textArray(ids.map { _ in "new" })
                        }
                    }
                }
            }
            let refused = failure { () throws(PostgresError) in try change([5, 500], "b") }
            #expect((refused?.kind, refused?.statement) == (.checkViolation, 0))
            let faulty = failure { () throws(PostgresError) in try change([5], "\0") }
            #expect((faulty?.code, faulty?.outcome) == (.invalidParameter, .notSent))
            #expect(try connection.value("SELECT name FROM kept", as: String.self) == "a")
            try change([5], "b")
            #expect(try connection.value("SELECT count(*) FROM kept", as: Int.self) == 2)
        }
    }

    @Test("where more sets of statements are executed as one than a session keeps, the later ones take effect too")
    func manySets() async throws {
        try await withConnection { connection in
            try connection.run("CREATE TEMP TABLE kept (id bigint, name text)")
            let inserts = (1...10).map { PostgresStatement("insert_\($0)", "INSERT INTO kept VALUES ($1, 'number ' || $2)", .int8, .text) }
            for set in 1..<128 {
                try connection.send { batch in
                    batch.executeAsOne { batch in
                        for (index, insert) in inserts.enumerated() where set & 1 << index != 0 {
                            batch.execute(insert) {
                                $0.int8(Int64(set))
                                $0.text(String(index))
                            }
                        }
                    }
                }
            }
            let wrong = """
                SELECT count(*) FROM generate_series(1, 127) AS s (set)
                WHERE (SELECT coalesce(sum(1 << right(name, 1)::int), 0) FROM kept WHERE id = s.set) <> s.set
                """
            #expect(try connection.value(wrong, as: Int.self) == 0)
            let prepared = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'joined%'"
            #expect(try connection.value(prepared, as: Int.self) == 64)
        }
    }
}
