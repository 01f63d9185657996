import NIOCore
import Testing

@testable import Redis

@Suite struct ReplyReaderTests {
    static let replies: [(String, RedisValue)] = [
        ("+OK\r\n", .simple("OK")),
        ("+\r\n", .simple("")),
        (":0\r\n", .integer(0)),
        (":-9223372036854775808\r\n", .integer(.min)),
        (":9223372036854775807\r\n", .integer(.max)),
        ("$-1\r\n", .null),
        ("*-1\r\n", .null),
        ("$0\r\n\r\n", .bulk(ByteBuffer())),
        ("$4\r\na\r\nb\r\n", .bulk(ByteBuffer(string: "a\r\nb"))),
        ("*0\r\n", .array([])),
        ("*2\r\n:1\r\n$-1\r\n", .array([.integer(1), .null])),
        ("*3\r\n*0\r\n*1\r\n*1\r\n+x\r\n:7\r\n", .array([.array([]), .array([.array([.simple("x")])]), .integer(7)])),
        ("-ERR no\r\n", .error(RedisServerError(message: "ERR no"))),
        ("*2\r\n-WRONGTYPE bad\r\n:2\r\n", .array([.error(RedisServerError(message: "WRONGTYPE bad")), .integer(2)])),
    ]

    private func read(_ pieces: [ByteBuffer], maximum: Int = 1 << 20) throws -> [RedisValue] {
        let reader = RedisReplyReader(maximumReplyBytes: maximum)
        var values: [RedisValue] = []
        for piece in pieces { try reader.read(piece) { values.append($0) } }
        return values
    }

    @Test("a reply reads as its value", arguments: replies)
    func value(bytes: String, value: RedisValue) throws {
        #expect(try read([ByteBuffer(string: bytes)]) == [value])
    }

    @Test("all replies in a row read the same, wherever the bytes are cut in two")
    func everySplit() throws {
        let bytes = ByteBuffer(string: Self.replies.map(\.0).joined())
        let values = Self.replies.map(\.1)
        for cut in 0...bytes.readableBytes {
            var rest = bytes
            let first = rest.readSlice(length: cut)
            let pieces = [first, rest].compactMap { $0 }
            #expect(try read(pieces) == values, "cut after \(cut) bytes")
        }
    }

    @Test("replies read the same byte by byte")
    func byteByByte() throws {
        let bytes = Self.replies.map(\.0).joined().utf8.map { ByteBuffer(bytes: [$0]) }
        #expect(try read(bytes) == Self.replies.map(\.1))
    }

    @Test("a string of 8 MB comes through whole")
    func hugeBulk() throws {
        let content = ByteBuffer(bytes: (0..<(8 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        var bytes = ByteBuffer(string: "$\(content.readableBytes)\r\n")
        bytes.writeImmutableBuffer(content)
        bytes.writeString("\r\n:1\r\n")
        #expect(try read([bytes], maximum: 9 << 20) == [.bulk(content), .integer(1)])
    }

    @Test("a reply larger than the limit is refused before it is complete")
    func tooLarge() throws {
        let bytes = ByteBuffer(string: "$1000000\r\n" + String(repeating: "x", count: 5000))
        let error = try #require(throws: RedisError.self) { _ = try read([bytes], maximum: 4096) }
        #expect(error.code == .protocolViolation)
        let many = ByteBuffer(string: String(repeating: "+0123456789\r\n", count: 1000))
        #expect(try read([many], maximum: 4096).count == 1000, "the limit is for one reply, not for a read")
    }

    @Test("an array of two billion elements reserves no memory for them")
    func announcedArray() throws {
        #expect(try read([ByteBuffer(string: "*2147483647\r\n:1\r\n")]) == [])
    }

    @Test(
        "bytes that are not RESP 2 are a protocol violation",
        arguments: [
            "HTTP/1.1 400\r\n", "?1\r\n", ":x\r\n", ":99999999999999999999\r\n", "*-2\r\n", "%1\r\n+a\r\n:1\r\n", "#t\r\n", ",1.5\r\n",
            "_\r\n+", "~1\r\n:1\r\n",
        ])
    func violation(bytes: String) throws {
        // `_` is a null in hiredis 1.x; what follows it here is not.
        let error = #expect(throws: RedisError.self) { _ = try read([ByteBuffer(string: bytes), ByteBuffer(string: "\r\n!\r\n")]) }
        #expect(error?.code == .protocolViolation)
    }

    @Test("arrays nest as deep as hiredis goes, and one deeper is a protocol violation")
    func depth() throws {
        let deepest = RedisReplyReader.maximumDepth
        let bytes = String(repeating: "*1\r\n", count: deepest) + ":5\r\n"
        var expected = RedisValue.integer(5)
        for _ in 0..<deepest { expected = .array([expected]) }
        #expect(try read([ByteBuffer(string: bytes)]) == [expected])
        if deepest < 9 {
            #expect(throws: RedisError.self) { _ = try read([ByteBuffer(string: "*1\r\n" + bytes)]) }
        }
    }

    @Test(
        "each error word that callers act on has its own kind",
        arguments: [
            ("LOADING Redis is loading", RedisServerError.Kind.loading), ("READONLY You can't", .readOnly),
            ("MASTERDOWN Link", .primaryDown),
            ("NOAUTH Authentication", .authenticationRequired), ("WRONGPASS invalid", .wrongPassword), ("NOPERM this", .notPermitted),
            ("OOM command", .outOfMemory), ("BUSY Redis", .busy), ("NOSCRIPT No", .noScript), ("WRONGTYPE x", .wrongType),
            ("MISCONF x", .cannotPersist), ("EXECABORT x", .transactionAborted), ("ERR x", .other("ERR")), ("", .other("")),
            ("ERR Error running script (call to f_ab): @user_script:7: -WRONGTYPE Operation against a key", .wrongType),
            ("ERR Error running script (call to f_ab): @user_script:7: -OOM command not allowed", .outOfMemory),
            ("ERR Error running script (call to f_ab): @user_script:7: user_script:7: 1 to 256", .other("ERR")),
        ])
    func kinds(message: String, kind: RedisServerError.Kind) {
        #expect(RedisServerError(message: message).kind == kind)
        #expect(RedisError(RedisServerError(message: message)).code == .server(kind))
    }

    @Test("a value answers as number and text where it spells one")
    func accessors() {
        #expect(RedisValue.bulk(ByteBuffer(string: "-12")).integer == -12)
        #expect(RedisValue.bulk(ByteBuffer(string: "12a")).integer == nil)
        #expect(RedisValue.simple("OK").string == "OK")
        #expect(RedisValue.integer(3).string == "3")
        #expect(RedisValue.array([.null]).array == [.null])
        #expect(RedisValue.null.isNull)
    }

    @Test("INFO reads as fields")
    func info() {
        let info = RedisInfo(text: "# Server\r\nredis_version:7.0.15\r\nexecutable:/a:b\r\n\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n")
        #expect(info.version == [7, 0, 15])
        #expect(info["executable"] == "/a:b")
        #expect(info["maxmemory_policy"] == "noeviction")
        #expect(RedisInfo(pairs: [.simple("a"), .simple("1"), .simple("b"), .integer(2)])["b"] == "2")
    }
}
