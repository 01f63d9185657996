package import NIOCore

/// A strict RFC 8259 reader.
///
/// Beyond the grammar it refuses what two readers may understand differently: duplicate member names, lone surrogate escapes,
/// a byte order mark, and anything after the value.
package struct JSONParser: ~Copyable {
    let bytes: UnsafeRawBufferPointer
    let maximumDepth: Int
    var position = 0

    /// Reads one document. Arrays and objects may nest `maximumDepth` deep.
    package static func parse(_ buffer: ByteBuffer, maximumDepth: Int = 32) throws(JSONError) -> JSONValue {
        // `withUnsafeReadableBytes` rethrows untyped, so the typed error leaves through a Result.
        let result = buffer.withUnsafeReadableBytes { bytes -> Result<JSONValue, JSONError> in
            var parser = JSONParser(bytes: bytes, maximumDepth: maximumDepth)
            do throws(JSONError) {
                return .success(try parser.document())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private init(bytes: UnsafeRawBufferPointer, maximumDepth: Int) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
    }

    private mutating func document() throws(JSONError) -> JSONValue {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { throw error("A byte order mark is not allowed.") }
        let value = try value(depth: 0)
        skipWhitespace()
        guard position == bytes.count else { throw error("Something follows the value.") }
        return value
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        skipWhitespace()
        guard let first = peek else { throw error("The document ends too early.") }
        switch first {
        case UInt8(ascii: "{"): return .object(try object(depth: depth + 1))
        case UInt8(ascii: "["): return .array(try array(depth: depth + 1))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        default: throw error("A value is expected.")
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> [JSONValue] {
        guard depth <= maximumDepth else { throw error("Arrays and objects are nested too deeply.") }
        position += 1
        var elements: [JSONValue] = []
        skipWhitespace()
        if take(UInt8(ascii: "]")) { return elements }
        while true {
            elements.append(try value(depth: depth))
            skipWhitespace()
            if take(UInt8(ascii: ",")) { continue }
            if take(UInt8(ascii: "]")) { return elements }
            throw error(peek == nil ? "The document ends too early." : "A comma or a closing bracket is expected.")
        }
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONObject {
        guard depth <= maximumDepth else { throw error("Arrays and objects are nested too deeply.") }
        position += 1
        var members: [(name: String, value: JSONValue)] = []
        var names = MemberNames()
        skipWhitespace()
        if take(UInt8(ascii: "}")) { return JSONObject() }
        while true {
            skipWhitespace()
            guard peek == UInt8(ascii: "\"") else {
                throw error(peek == nil ? "The document ends too early." : "A member name is expected.")
            }
            let start = position
            let name = try string()
            guard names.insert(name, among: members) else { throw error("A member name is repeated.", at: start) }
            skipWhitespace()
            guard take(UInt8(ascii: ":")) else {
                throw error(peek == nil ? "The document ends too early." : "A colon is expected.")
            }
            members.append((name, try value(depth: depth)))
            skipWhitespace()
            if take(UInt8(ascii: ",")) { continue }
            if take(UInt8(ascii: "}")) { return JSONObject(members) }
            throw error(peek == nil ? "The document ends too early." : "A comma or a closing brace is expected.")
        }
    }

    private mutating func literal(_ text: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        for index in 0..<text.utf8CodeUnitCount {
            guard peek == text.utf8Start[index] else {
                throw error(peek == nil ? "The document ends too early." : "A value is expected.")
            }
            position += 1
        }
        return value
    }
}

extension JSONParser {
    /// The byte at the reading position, nil at the end.
    var peek: UInt8? {
        position < bytes.count ? bytes[position] : nil
    }

    mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        position += 1
        return true
    }

    mutating func skipWhitespace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    func error(_ reason: String, at offset: Int? = nil) -> JSONError {
        JSONError(offset: offset ?? position, reason: reason)
    }
}

/// Finds repeated names: by comparing while there are few, by a set once a hostile object has many.
private struct MemberNames {
    private static let comparedUpTo = 16
    private var seen: Set<[UInt8]> = []

    /// Whether `name` is new among the members read so far.
    mutating func insert(_ name: String, among members: [(name: String, value: JSONValue)]) -> Bool {
        if members.count < MemberNames.comparedUpTo {
            return !members.contains { $0.name.utf8.elementsEqual(name.utf8) }
        }
        if seen.isEmpty { seen = Set(members.map { Array($0.name.utf8) }) }
        return seen.insert(Array(name.utf8)).inserted
    }
}
