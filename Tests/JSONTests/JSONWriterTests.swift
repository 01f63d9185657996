import JSON
import NIOCore
import TestSupport
import Testing

@Suite("Writing JSON")
struct JSONWriterTests {
    private func written(_ body: (inout JSONWriter) -> Void) -> String {
        var writer = JSONWriter()
        body(&writer)
        return String(buffer: writer.buffer)
    }

    @Test("members and elements get the commas between them, and no other")
    func structure() {
        let text = written { writer in
            writer.beginObject()
            writer.member("couponId", 7)
            writer.member("name", "치킨")
            writer.member("open", true)
            writer.memberNull("closesAt")
            writer.member("absent", nil as Int64?)
            writer.member("present", "x" as String?)
            writer.beginObject("discount")
            writer.member("type", raw: "\"FIXED\"")
            writer.endObject()
            writer.beginArray("items")
            writer.element(1)
            writer.element("two")
            writer.element(false)
            writer.elementNull()
            writer.beginObject()
            writer.endObject()
            writer.beginArray()
            writer.endArray()
            writer.element(raw: ByteBuffer(string: "[3]"))
            writer.endArray()
            writer.member("last", raw: ByteBuffer(string: "{}"))
            writer.endObject()
        }
        #expect(
            text == #"{"couponId":7,"name":"치킨","open":true,"closesAt":null,"absent":null,"present":"x","#
                + #""discount":{"type":"FIXED"},"items":[1,"two",false,null,{},[],[3]],"last":{}}"#
        )
    }

    @Test(
        "integers are written in decimal, to the last of Int64",
        arguments: [0, 1, -1, 9, 10, -10, 99, 100, 1_000_000, .max, .min, .max - 1, .min + 1] as [Int64]
    )
    func integers(value: Int64) {
        #expect(written { $0.element(value) } == "\(value)")
        #expect(
            written {
                $0.beginObject(); $0.member("n", value); $0.endObject()
            } == "{\"n\":\(value)}")
    }

    @Test(
        "only what must be escaped is",
        arguments: [
            ("", ""), ("a", "a"), ("가나다 🎟 é", "가나다 🎟 é"), ("/", "/"), ("\u{7F}\u{2028}", "\u{7F}\u{2028}"),
            ("\"", #"\""#), ("\\", #"\\"#), ("\u{8}\t\n\u{C}\r", #"\b\t\n\f\r"#), ("\0\u{1}\u{1F}\u{B}", #"\u0000\u0001\u001f\u000b"#),
            ("a\"b\\c\nd가\"", #"a\"b\\c\nd가\""#),
        ]
    )
    func strings(value: String, expected: String) {
        #expect(written { $0.element(value) } == "\"\(expected)\"")
        #expect(
            written {
                $0.beginArray(); $0.element(value); $0.element(value); $0.endArray()
            } == "[\"\(expected)\",\"\(expected)\"]")
    }

    @Test("it appends to what a buffer holds, with the exact room or none")
    func appends() {
        for capacity in [0, 1, 7, 64] {
            var buffer = ByteBuffer(string: "x")
            buffer.reserveCapacity(minimumWritableBytes: capacity)
            var writer = JSONWriter(buffer: buffer)
            writer.beginObject()
            writer.member("a", -5)
            writer.member("b", "\u{1}\u{2}")
            writer.endObject()
            #expect(String(buffer: writer.buffer) == #"x{"a":-5,"b":"\u0001\u0002"}"#)
        }
    }

    @Test("what was written reads as what it was, for random values of every kind", arguments: [1, 2, 3, 20_261_121] as [UInt64])
    func roundTrips(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for round in 0..<500 {
            let value = JSONValue.random(depth: 4, using: &random)
            var writer = JSONWriter(capacity: 16)
            writer.element(value)
            let read = try JSONParser.parse(writer.buffer)
            #expect(read == value, "seed \(seed), round \(round)")
        }
    }
}

extension JSONValue {
    fileprivate static func random(depth: Int, using random: inout SeededGenerator) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &random) {
        case 0: return .null
        case 1: return .bool(.random(using: &random))
        case 2: return .integer(Int64(truncatingIfNeeded: random.next() >> Int.random(in: 0..<64, using: &random)))
        case 3: return .hugeInteger("-\(random.next() | 1 << 63)9")
        case 4: return .number("\(random.next() >> 40).\(random.next() >> 40)e-\(Int.random(in: 0..<400, using: &random))")
        case 5: return .string(text(using: &random))
        case 6: return .array((0..<Int.random(in: 0..<5, using: &random)).map { _ in .random(depth: depth - 1, using: &random) })
        default:
            // The index keeps the names distinct.
            return .object(
                JSONObject(
                    (0..<Int.random(in: 0..<5, using: &random)).map {
                        (text(using: &random) + "\($0)", .random(depth: depth - 1, using: &random))
                    }
                )
            )
        }
    }

    private static func text(using random: inout SeededGenerator) -> String {
        let ranges: [ClosedRange<UInt32>] = [0...0x1F, 0x20...0x7F, 0x80...0x7FF, 0xAC00...0xD7A3, 0xE000...0xFFFF, 0x10000...0x10FFFF]
        var text = ""
        for _ in 0..<Int.random(in: 0..<12, using: &random) {
            let range = ranges[Int.random(in: 0..<ranges.count, using: &random)]
            if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &random)) { text.unicodeScalars.append(scalar) }
        }
        return text
    }
}
