import Postgres
import TestSupport
import Testing

/// Arrays as parameters and results, there and back through the server.
@Suite struct ArrayTests {
    private static let echo = PostgresStatement(
        "echo arrays", "SELECT $1, $2, $3, $4, cardinality($1), array_ndims($1)", .int8Array, .textArray, .byteaArray, .boolArray)

    @Test("arrays of 0, 1 and 10,000 elements come back as they were sent", arguments: [0, 1, 10_000])
    func full(count: Int) async throws {
        let numbers = (0..<count).map { Int64($0) * 0x1234_5678_9ABC - 7 }
        let texts = (0..<count).map { "쿠폰 \($0)" }
        let bytes = (0..<count).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: $0 % 40) }
        let flags = (0..<count).map { $0 % 3 == 0 }
        try await withConnection { connection in
            let result = try connection.send { batch in
                batch.execute(Self.echo) { parameters in
                    parameters.int8Array(numbers)
                    parameters.textArray(texts)
                    parameters.byteaArray(bytes)
                    parameters.boolArray(flags)
                }
            }[0]
            #expect(try result.value(0, 0, as: [Int64].self) == numbers)
            #expect(try result.value(0, 1, as: [String].self) == texts)
            #expect(try result.value(0, 2, as: [[UInt8]].self) == bytes)
            #expect(try result.value(0, 3, as: [Bool].self) == flags)
            #expect(try result.value(0, 4, as: Int.self) == count)
            #expect(try result.value(0, 5, as: Int?.self) == (count == 0 ? nil : 1))
        }
    }

    @Test("arrays with NULLs come back with them, and are not read as arrays without", arguments: [1, 10_000])
    func withNulls(count: Int) async throws {
        let numbers: [Int64?] = (0..<count).map { $0 % 2 == 0 ? nil : $0 % 3 == 0 ? .min : .max }
        let texts: [String?] = (0..<count).map { $0 % 3 == 0 ? nil : $0 % 3 == 1 ? "" : "가\($0)" }
        let bytes: [[UInt8]?] = (0..<count).map { $0 % 5 == 0 ? nil : [0, 1] }
        let flags: [Bool?] = (0..<count).map { $0 % 7 == 0 ? nil : $0 % 2 == 0 }
        try await withConnection { connection in
            let result = try connection.send { batch in
                batch.execute(Self.echo) { parameters in
                    parameters.int8Array(numbers)
                    parameters.textArray(texts)
                    parameters.byteaArray(bytes)
                    parameters.boolArray(flags)
                }
            }[0]
            #expect(try result.value(0, 0, as: [Int64?].self) == numbers)
            #expect(try result.value(0, 1, as: [String?].self) == texts)
            #expect(try result.value(0, 2, as: [[UInt8]?].self) == bytes)
            #expect(try result.value(0, 3, as: [Bool?].self) == flags)
            #expect(failure { () throws(PostgresError) in _ = try result.value(0, 0, as: [Int64].self) }?.code == .unexpectedResult)
            // NULL has no type of its own.
            if count > 1 {
                #expect(failure { () throws(PostgresError) in _ = try result.value(0, 1, as: [Int64?].self) }?.code == .unexpectedResult)
            }
        }
    }

    @Test("an array after one with NULLs has none of them")
    func nullsDoNotStay() async throws {
        try await withConnection { connection in
            let result = try connection.send { batch in
                for numbers in [[nil, 1], [2, 3]] as [[Int64?]] {
                    batch.execute(PostgresStatement("count nulls", "SELECT array_position($1, NULL), $1", .int8Array)) {
                        $0.int8Array(numbers)
                    }
                }
            }
            #expect(try result[0].value(0, 0, as: Int?.self) == 1)
            #expect(try result[1].value(0, 0, as: Int?.self) == nil)
            #expect(try result[1].value(0, 1, as: [Int64].self) == [2, 3])
        }
    }

    @Test("any sequence can be an array, and NULL can stand for one")
    func sequences() async throws {
        try await withConnection { connection in
            let result = try connection.send { batch in
                batch.execute(Self.echo) { parameters in
                    parameters.int8Array((1...3).lazy.filter { $0 != 2 }.map { Int64($0) })
                    parameters.null()
                    parameters.byteaArray(["ab", "c"].map(\.utf8))
                    parameters.boolArray(CollectionOfOne(true))
                }
            }[0]
            #expect(try result.value(0, 0, as: [Int64].self) == [1, 3])
            #expect(try result.value(0, 1, as: [String]?.self) == nil)
            #expect(try result.value(0, 2, as: [[UInt8]].self) == [[97, 98], [99]])
            #expect(try result.value(0, 3, as: [Bool].self) == [true])
        }
    }

    @Test("arrays of other element types and dimensions are read where they can be")
    func others() async throws {
        try await withConnection { connection in
            let row = try connection.run(
                "SELECT '{1,2}'::smallint[], '{3,NULL}'::integer[], '{1.5}'::double precision[], '{a,b}'::varchar[], '{{1},{2}}'::bigint[]"
            )[0].rows[0]
            #expect(try row.value(0, as: [Int64].self) == [1, 2])
            #expect(try row.value(1, as: [Int32?].self) == [3, nil])
            #expect(try row.value(2, as: [Double].self) == [1.5])
            #expect(try row.value(3, as: [String].self) == ["a", "b"])
            #expect(failure { () throws(PostgresError) in _ = try row.value(4, as: [Int64].self) }?.code == .unexpectedResult)
        }
    }

    @Test("rows are written and read by arrays, as many at once as are given")
    func unnest() async throws {
        let insert = PostgresStatement(
            "insert", "INSERT INTO many SELECT * FROM unnest($1, $2, $3, $4)", .int8Array, .textArray, .byteaArray, .boolArray)
        let count = 5_000
        try await withConnection { connection in
            try connection.run("CREATE TEMP TABLE many (id bigint PRIMARY KEY, name text, body bytea, flag boolean)")
            try connection.send { batch in
                batch.execute(insert) { parameters in
                    parameters.int8Array((0..<count).lazy.map { Int64($0) })
                    parameters.textArray((0..<count).lazy.map { $0 % 2 == 0 ? nil : "이름 \($0)" })
                    parameters.byteaArray((0..<count).lazy.map { [UInt8(truncatingIfNeeded: $0)] })
                    parameters.boolArray((0..<count).lazy.map { $0 % 2 == 0 })
                }
            }
            let rows = try connection.run("SELECT id, name, body, flag FROM many ORDER BY id")[0].rows
            #expect(rows.count == count)
            for (index, row) in rows.enumerated() {
                let (id, name): (Int64, String?) = (try row.value(0), try row.value(1))
                let (body, flag): ([UInt8], Bool) = (try row.value(2), try row.value(3))
                guard id == Int64(index), name == (index % 2 == 0 ? nil : "이름 \(index)"), body == [UInt8(truncatingIfNeeded: index)],
                    flag == (index % 2 == 0)
                else {
                    Issue.record("row \(index) is \(id), \(name ?? "NULL"), \(body), \(flag)")
                    return
                }
            }
        }
    }
}
