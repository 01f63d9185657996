import JSON
import NIOCore
import Testing

/// Reads text, or raw bytes where text cannot express them.
private func parse(_ text: String) throws(JSONError) -> JSONValue {
    try JSONParser.parse(ByteBuffer(string: text))
}

private func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
    try JSONParser.parse(ByteBuffer(bytes: bytes))
}

@Suite("Reading JSON")
struct JSONParserTests {
    @Test(
        "a valid document reads as its value",
        arguments: [
            ("null", .null), ("true", .bool(true)), ("false", .bool(false)), (" \t\r\n1 \n", .integer(1)),
            ("0", .integer(0)), ("-0", .integer(0)), ("-1", .integer(-1)), ("1234567890", .integer(1_234_567_890)),
            ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
            ("9223372036854775808", .hugeInteger("9223372036854775808")),
            ("-9223372036854775809", .hugeInteger("-9223372036854775809")),
            ("100000000000000000000000000000", .hugeInteger("100000000000000000000000000000")),
            ("1.0", .number("1.0")), ("-0.0", .number("-0.0")), ("1e400", .number("1e400")), ("1E+2", .number("1E+2")),
            ("0e1", .number("0e1")), ("0.1e-9", .number("0.1e-9")), ("123e65", .number("123e65")),
            (#""""#, .string("")), (#""a""#, .string("a")), (#""쿠폰 🎟""#, .string("쿠폰 🎟")),
            (#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{C}\n\r\t")), (#""\u0041\uAc00""#, .string("A가")),
            (#""\uD83C\uDF9F""#, .string("🎟")), (#""\u0000""#, .string("\0")), (#""\uFFFF""#, .string("\u{FFFF}")),
            (#""a\u00e9b""#, .string("a\u{E9}b")), ("\"\u{7F}\u{2028}\"", .string("\u{7F}\u{2028}")),
            ("[]", .array([])), ("[ ]", .array([])), ("[1, 2 ,3]", .array([.integer(1), .integer(2), .integer(3)])),
            ("[[],[[]]]", .array([.array([]), .array([.array([])])])), ("[null]", .array([.null])),
            ("{}", .object(JSONObject())), ("{ }", .object(JSONObject())),
            (
                #"{"a":1,"b":{"c":[true]}}"#,
                .object(
                    JSONObject([
                        ("a", .integer(1)), ("b", .object(JSONObject([("c", .array([.bool(true)]))]))),
                    ]))
            ),
            (#"{"":0}"#, .object(JSONObject([("", .integer(0))]))),
            // One letter, once composed and once as a base with an accent: different names, since the bytes differ.
            ("{\"\u{E9}\":1,\"e\u{301}\":2}", .object(JSONObject([("\u{E9}", .integer(1)), ("e\u{301}", .integer(2))]))),
        ] as [(String, JSONValue)]
    )
    func valid(text: String, expected: JSONValue) throws {
        #expect(try parse(text) == expected)
    }

    @Test(
        "an invalid document is refused",
        arguments: [
            "", " ", "[", "]", "{", "}", ",", ":", "[1", "[1,", "[1,]", "[,1]", "[1,,2]", "[1 2]", "[1}", "{]", "[]]", "{}}", "[1]x",
            "1 2", "null null", "nul", "nulll", "True", "FALSE", "NaN", "Infinity", "-Infinity", "undefined", "'a'",
            "+1", "-", "--1", "01", "-01", "00", "1.", ".5", "-.5", "1e", "1e+", "1E-", "1.e1", "1.5.", "0x10", "1_000", "1,000", "１",
            "2.e3", "1e1.5", "- 1", "-a", "1a",
            "\"", "\"a", "a\"", #""\"#, #""\x41""#, #""\'""#, #""\u""#, #""\u12""#, #""\u12G4""#, #""\U0041""#, #""\u{41}""#,
            "\"\t\"", "\"\n\"", "\"a\0b\"", "\"\u{1F}\"",
            #""\uD800""#, #""\uDC00""#, #""\uD800\uD800""#, #""\uD800x""#, #""\uD800\n""#, #""\uDC00\uD800""#, #""\uD800\u0041""#,
            "{\"a\"}", "{\"a\":}", "{\"a\" 1}", "{\"a\":1,}", "{,}", "{a:1}", "{'a':1}", "{1:1}", "{null:1}", "{\"a\":1 \"b\":2}",
            "{\"a\":1,,\"b\":2}", "{\"a\"::1}", "{\"a\":1]", "{\"a\":1", "{\"a\":1}{}",
            #"{"a":1,"a":1}"#, #"{"a":1,"\u0061":2}"#, #"{"":1,"":2}"#,
            "// comment\n1", "/* */1", "1 // x", "[1]#", "\u{FEFF}1", "\u{A0}1", "\u{2028}1", "\u{C}1", "\u{B}1", "\0", "1\0",
        ]
    )
    func invalid(text: String) {
        #expect(throws: JSONError.self) { try parse(text) }
    }

    @Test(
        "ill-formed UTF-8 is refused wherever it stands",
        arguments: [
            [0x80], [0xBF], [0xC3], [0xC3, 0x28],  // lone continuation, cut sequence, wrong continuation
            [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF],  // overlong
            [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80],  // surrogates, also as a pair
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFE], [0xFF],  // beyond Unicode
            [0xE2, 0x82], [0xF0, 0x9F, 0x8E],
        ] as [[UInt8]]
    )
    func illFormedUTF8(bytes: [UInt8]) {
        let quote = UInt8(ascii: "\"")
        #expect(throws: JSONError.self) { try parse([quote] + bytes + [quote]) }
        #expect(throws: JSONError.self) { try parse([quote] + Array(#"\n"#.utf8) + bytes + [quote]) }
        #expect(throws: JSONError.self) { try parse(Array("{\"".utf8) + bytes + Array("\":1}".utf8)) }
        #expect(throws: JSONError.self) { try parse(bytes) }
    }

    @Test("the last scalars of each UTF-8 length are read, as raw bytes and beside an escape")
    func utf8Boundaries() throws {
        for scalar in ["\u{7F}", "\u{80}", "\u{7FF}", "\u{800}", "\u{D7FF}", "\u{E000}", "\u{FFFF}", "\u{10000}", "\u{10FFFF}"] {
            #expect(try parse("\"\(scalar)\"") == .string(scalar))
            #expect(try parse("\"\\n\(scalar)\"") == .string("\n" + scalar))
        }
    }

    @Test("every truncation of a document is refused with an offset inside it")
    func truncations() throws {
        let text = #"{"name":"치킨 \"세트\" \uD83C\uDF57","n":[-12,0.5e-3,true,false,null,{"a":{}}],"z":[[]]}"#
        let bytes = Array(text.utf8)
        _ = try parse(bytes)
        for end in 0..<bytes.count {
            let error = #expect(throws: JSONError.self) { try parse(Array(bytes[..<end])) }
            #expect((0...end).contains(error?.offset ?? -1))
        }
    }

    @Test("no single changed byte makes the reader do anything but answer or refuse")
    func mutations() throws {
        let bytes = Array(#"{"a":["x\u00e9",-1.5e3,{"b":null}],"가":true}"#.utf8)
        var refused = 0
        for position in bytes.indices {
            for byte in UInt8.min...UInt8.max {
                var changed = bytes
                changed[position] = byte
                if (try? parse(changed)) == nil { refused += 1 }
            }
        }
        #expect(refused > bytes.count * 100)
    }

    @Test("nesting is allowed up to the bound and refused beyond it, however deep")
    func depth() throws {
        func nested(_ depth: Int) -> ByteBuffer {
            ByteBuffer(string: String(repeating: "[", count: depth) + String(repeating: "]", count: depth))
        }
        _ = try JSONParser.parse(nested(32))
        #expect(throws: JSONError.self) { try JSONParser.parse(nested(33)) }
        _ = try JSONParser.parse(nested(3), maximumDepth: 3)
        #expect(throws: JSONError.self) { try JSONParser.parse(nested(4), maximumDepth: 3) }
        #expect(throws: JSONError.self) { try parse(String(repeating: "[", count: 1_000_000)) }
        #expect(throws: JSONError.self) { try parse(String(repeating: #"{"a":"#, count: 1_000_000)) }
        // Width is not depth.
        _ = try parse("[" + String(repeating: "[],", count: 10_000) + "[]]")
    }

    @Test(
        "a document may have as many values as are allowed, and reading stops at the first one beyond them",
        arguments: [
            // The document, its values, and the byte at which the last of them begins.
            ("[1,2,3]", 4, 5), ("[]", 1, 0), (#"{"a":1,"b":[true,null]}"#, 5, 17), ("[[[[]]]]", 4, 3), (#"["a","b"]"#, 3, 5), ("7", 1, 0),
        ]
    )
    func tooManyValues(text: String, values: Int, lastBegins: Int) throws {
        _ = try JSONParser.parse(ByteBuffer(string: text), maximumValues: values)
        let error = #expect(throws: JSONError.self) { try JSONParser.parse(ByteBuffer(string: text), maximumValues: values - 1) }
        #expect(error?.code == .tooManyValues && error?.offset == lastBegins)
    }

    @Test("what follows the values that are allowed is not looked at")
    func stopsEarly() {
        let text = "[" + String(repeating: "0,", count: 30_000) + "not JSON"
        let error = #expect(throws: JSONError.self) { try JSONParser.parse(ByteBuffer(string: text), maximumValues: 100) }
        #expect(error?.code == .tooManyValues && error?.offset == 1 + 2 * 99)
    }

    @Test("every scalar reads alike as an escape and as itself")
    func everyEscape() throws {
        for value in stride(from: 0, through: 0x10FFFF, by: 61) {
            guard let scalar = Unicode.Scalar(UInt32(value)) else { continue }
            let escapes = String(scalar).utf16.map { unit in
                let digits = String(unit, radix: 16, uppercase: value.isMultiple(of: 2))
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
            #expect(try parse("\"x\(escapes.joined())y\"") == .string("x\(scalar)y"), "\(value)")
        }
    }

    @Test("names that Unicode calls equivalent are different names, among few and among many")
    func equivalentNames() throws {
        for count in [0, 20] {
            let others = (0..<count).map { #""member \#($0)":0"# }
            let object = try parse("{" + (others + [#""\u00e9":1"#, #""e\u0301":2"#]).joined(separator: ",") + "}")
            #expect(object["\u{E9}"] == .integer(1) && object["e\u{301}"] == .integer(2))
        }
    }

    @Test("a repeated name is found among few members and among many")
    func repeatedNames() throws {
        for count in [2, 15, 16, 17, 18, 500] {
            let distinct = (0..<count).map { #""member \#($0)":0"# }
            let object = try parse("{" + distinct.joined(separator: ",") + "}")
            #expect(object["member \(count - 1)"] == .integer(0))
            for repeated in [0, count / 2, count - 1] {
                let text = "{" + (distinct + [#""member \#(repeated)":1"#]).joined(separator: ",") + "}"
                #expect(throws: JSONError.self, "\(count) members, \(repeated) again") { try parse(text) }
            }
        }
    }

    @Test("the offset points at the fault")
    func offsets() {
        #expect(#expect(throws: JSONError.self) { try parse("[1,x]") }?.offset == 3)
        #expect(#expect(throws: JSONError.self) { try parse("1 2") }?.offset == 2)
        #expect(#expect(throws: JSONError.self) { try parse(#"{"a":1,"a":2}"#) }?.offset == 7)
        #expect(#expect(throws: JSONError.self) { try parse("") }?.offset == 0)
    }

    @Test("members are found by name, and only in objects")
    func lookup() throws {
        let value = try parse(#"{"a":null,"b":2}"#)
        #expect(value["a"] == .null)
        #expect(value["b"] == .integer(2))
        #expect(value["c"] == nil)
        #expect(JSONValue.array([])["a"] == nil)
    }
}
