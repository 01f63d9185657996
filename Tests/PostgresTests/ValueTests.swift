import Postgres
import TestSupport
import Testing

/// Every type of parameters and results, there and back through the server.
@Suite struct ValueTests {
    private static let all = PostgresStatement(
        "echo", "SELECT $1, $2, $3, $4, $5, $6, $7", .int8, .int4, .int2, .float8, .bool, .text, .bytea)

    private struct Row: Equatable {
        var int8: Int64?
        var int4: Int32?
        var int2: Int16?
        var float8: Double?
        var bool: Bool?
        var text: String?
        var bytea: [UInt8]?

        func echo(_ connection: PostgresConnection) throws -> Row {
            let results = try connection.send { batch in
                batch.execute(ValueTests.all) { parameters in
                    parameters.int8(int8)
                    parameters.int4(int4)
                    parameters.int2(int2)
                    parameters.float8(float8)
                    parameters.bool(bool)
                    parameters.text(text)
                    parameters.bytea(bytea)
                }
            }
            let row = results[0].rows[0]
            return Row(
                int8: try row.value(0), int4: try row.value(1), int2: try row.value(2), float8: try row.value(3), bool: try row.value(4),
                text: try row.value(5), bytea: try row.value(6))
        }
    }

    @Test("single values come back as they were sent, extremes and NULL included")
    func single() async throws {
        let rows = [
            Row(),
            Row(int8: .min, int4: .min, int2: .min, float8: -.greatestFiniteMagnitude, bool: false, text: "", bytea: []),
            Row(int8: .max, int4: .max, int2: .max, float8: .leastNonzeroMagnitude, bool: true, text: "\u{1}'\\\"$1%", bytea: [0, 255, 0]),
            Row(int8: 0, int4: 0, int2: 0, float8: .infinity, bool: true, text: "쿠폰 한글 👩‍👩‍👧 e\u{301}", bytea: Array(0...255)),
            Row(int8: -1, int4: -1, int2: -1, float8: -0.0, bool: false, text: String(repeating: "가", count: 100_000), bytea: nil),
        ]
        try await withConnection { connection in
            for row in rows { #expect(try row.echo(connection) == row) }
            let nan = try Row(float8: .nan).echo(connection)
            #expect(nan.float8?.isNaN == true)
        }
    }

    @Test("a text keeps its bytes, however it is composed")
    func composed() async throws {
        let texts = ["\u{D55C}\u{AE00}", "\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}"]
        let bytes = try await withConnection { connection in
            try texts.map { text in
                try connection.send { batch in
                    batch.execute(PostgresStatement(nil, "SELECT convert_to($1, 'UTF8')", .text)) { $0.text(text) }
                }[0].value(0, 0, as: [UInt8].self)
            }
        }
        #expect(bytes == texts.map { Array($0.utf8) })
    }

    @Test("a huge value goes there and back")
    func huge() async throws {
        let size = 60 << 20
        try await withConnection { connection in
            let bytes = [UInt8](repeating: 0xA5, count: size)
            let results = try connection.send { batch in
                batch.execute(PostgresStatement(nil, "SELECT length($1), $1", .bytea)) { $0.bytea(bytes) }
            }
            #expect(try results[0].value(0, 0, as: Int.self) == size)
            #expect(try results[0].value(0, 1, as: [UInt8].self) == bytes)
            #expect(try connection.value("SELECT 1") == 1)
        }
    }

    @Test("a text with a NUL character is refused before anything is sent")
    func nul() async throws {
        try await withConnection { connection in
            let one = PostgresStatement("one text", "SELECT $1", .text)
            let many = PostgresStatement("many texts", "SELECT $1", .textArray)
            try connection.run("CREATE TEMP TABLE sent (id bigint)")
            let build: [(inout PostgresParameters) -> Void] = [{ $0.text("a\0b") }, { $0.textArray(["a", "\0"]) }]
            for (statement, parameters) in zip([one, many], build) {
                let error = failure { () throws(PostgresError) in
                    try connection.send { batch in
                        batch.execute(PostgresStatement(nil, "INSERT INTO sent VALUES (1)"))
                        batch.execute(statement, parameters)
                    }
                }
                #expect(error?.code == .invalidParameter)
                #expect(error?.outcome == .notSent)
                #expect(error?.statement == 1)
                #expect(error?.statementName == statement.name)
            }
            #expect(try connection.value("SELECT count(*) FROM sent") == 0)
        }
    }

    @Test("parameters that are too few, too many or of another type are refused before anything is sent")
    func wrongParameters() async throws {
        let statement = PostgresStatement("two", "SELECT $1, $2", .int8, .text)
        let wrong: [@Sendable (inout PostgresParameters) -> Void] = [
            { _ in }, { $0.int8(1) },
            {
                $0.int4(1); $0.text("")
            },
            {
                $0.int8(1); $0.text(""); $0.null()
            },
            {
                $0.int8(1); $0.textArray([""])
            },
        ]
        try await withConnection { connection in
            for write in wrong {
                let error = failure { () throws(PostgresError) in try connection.send { $0.execute(statement, write) } }
                #expect(error?.code == .invalidParameter)
                #expect(error?.outcome == .notSent)
            }
            let results = try connection.send {
                $0.execute(statement) {
                    $0.int8(5); $0.null()
                }
            }
            #expect(try results[0].value(0, 0, as: Int64.self) == 5)
            #expect(try results[0].value(0, 1, as: String?.self) == nil)
        }
    }

    @Test("a value that is read as another type, NULL as a value, or a missing column is an error that says which")
    func wrongReading() async throws {
        try await withConnection { connection in
            let result = try connection.run(
                "SELECT 1::bigint AS number, 'x'::text AS word, NULL::bigint AS nothing, 1.5::numeric AS price")[0]
            let errors = [
                failure { () throws(PostgresError) in _ = try result.value(0, 0, as: String.self) },
                failure { () throws(PostgresError) in _ = try result.value(0, 1, as: Int64.self) },
                failure { () throws(PostgresError) in _ = try result.value(0, 2, as: Int64.self) },
                failure { () throws(PostgresError) in _ = try result.value(0, 3, as: Double.self) },
            ]
            for (error, name) in zip(errors, ["number", "word", "nothing", "price"]) {
                #expect(error?.code == .unexpectedResult)
                #expect(error?.outcome == .completed)
                #expect(error?.message.contains(name) == true)
            }
            for (row, column) in [(1, 0), (0, 4), (-1, 0), (0, -1)] {
                let error = failure { () throws(PostgresError) in _ = try result.value(row, column, as: Int64?.self) }
                #expect(error?.code == .unexpectedResult)
            }
        }
    }

    @Test("smaller integers are read as larger ones, and names, literals and JSON as texts")
    func widening() async throws {
        try await withConnection { connection in
            let row = try connection.run(
                "SELECT 7::smallint, 8::integer, 9::smallint, 'n'::name, 'v'::varchar(9), 'c'::char(3), '{\"a\": 1}'::json, 'literal'")[0]
                .rows[0]
            #expect(try row.value(0, as: Int64.self) == 7)
            #expect(try row.value(1, as: Int.self) == 8)
            #expect(try row.value(2, as: Int32.self) == 9)
            #expect(try (3...7).map { try row.value($0, as: String.self) } == ["n", "v", "c  ", "{\"a\": 1}", "literal"])
        }
    }

    @Test("a result says how many rows it has, or were written")
    func counts() async throws {
        try await withConnection { connection in
            let results = try connection.run(
                "CREATE TEMP TABLE counted (id bigint)", "INSERT INTO counted SELECT generate_series(1, 5)",
                "UPDATE counted SET id = -id WHERE id > 2",
                "SELECT id FROM counted WHERE id < 0 ORDER BY id", "SELECT FROM counted WHERE false")
            #expect(results.count == 5)
            #expect((0..<5).map { results[$0].affectedRows } == [0, 5, 3, 3, 0])
            #expect((0..<5).map { results[$0].rowCount } == [0, 0, 0, 3, 0])
            #expect(results[1].commandTag == "INSERT 0 5")
            #expect(results[3].columnName(0) == "id")
            #expect(try results[3].rows.map { try $0.value(0, as: Int64.self) } == [-5, -4, -3])
        }
    }
}
