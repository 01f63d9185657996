package import NIOCore

/// A strict RFC 8259 reader.
///
/// Beyond the grammar it refuses what two readers may understand differently: duplicate member names, lone surrogate escapes,
/// a byte order mark, and anything after the value.
package struct JSONParser: ~Copyable {
    let bytes: UnsafeRawBufferPointer
    let maximumDepth: Int
    /// Values that may still be read before the document has too many.
    private var remainingValues: Int
    var position = 0

    /// Reads one document.
    ///
    /// - Parameters:
    ///   - maximumDepth: how deep arrays and objects may nest.
    ///   - maximumValues: how many values the document may have, the document itself, every element and every member counted. Reading
    ///     stops at the first one beyond it, so that a long document of tiny values costs no more than a short one.
    package static func parse(
        _ buffer: ByteBuffer, maximumDepth: Int = 32, maximumValues: Int = .max
    ) throws(JSONError) -> JSONValue {
        // `withUnsafeReadableBytes` rethrows untyped, so the typed error leaves through a Result.
        let result = buffer.withUnsafeReadableBytes { bytes -> Result<JSONValue, JSONError> in
            var parser = JSONParser(bytes: bytes, maximumDepth: maximumDepth, maximumValues: maximumValues)
            do throws(JSONError) {
                return .success(try parser.document())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private init(bytes: UnsafeRawBufferPointer, maximumDepth: Int, maximumValues: Int) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
        remainingValues = maximumValues
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
        guard remainingValues > 0 else { throw JSONError(offset: position, reason: "There are too many values.", code: .tooManyValues) }
        remainingValues -= 1
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

/// Finds repeated names: by comparing while there are few, by a hash table once an object has many.
///
/// A `Set` of names would keep no hashes, and compare and hash names again and again while it grows. Hashes are seeded anew in each process,
/// so a client cannot choose names that collide.
private struct MemberNames {
    private static let comparedUpTo = 16
    /// The hashes of the names so far, once there are many.
    private var hashes: [Int] = []
    /// Places in `hashes` plus one, 0 where free, each name in the first free slot from its hash on. A power of two, never more than half full.
    private var slots: [Int32] = []

    /// Whether `name` is new among the members read so far.
    mutating func insert(_ name: String, among members: [(name: String, value: JSONValue)]) -> Bool {
        if members.count < MemberNames.comparedUpTo {
            return !members.contains { $0.name.hasSameBytes(as: name) }
        }
        if hashes.isEmpty { hashes = members.map { MemberNames.hash($0.name) } }
        if slots.count < (hashes.count + 1) * 2 { grow() }
        let hash = MemberNames.hash(name)
        var slot = hash & (slots.count - 1)
        while slots[slot] > 0 {
            let place = Int(slots[slot]) - 1
            if hashes[place] == hash, members[place].name.hasSameBytes(as: name) { return false }
            slot = (slot + 1) & (slots.count - 1)
        }
        hashes.append(hash)
        slots[slot] = Int32(hashes.count)
        return true
    }

    private mutating func grow() {
        slots = Array(repeating: 0, count: max(slots.count * 2, MemberNames.comparedUpTo * 8))
        for (place, hash) in hashes.enumerated() {
            var slot = hash & (slots.count - 1)
            while slots[slot] > 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Int32(place + 1)
        }
    }

    private static func hash(_ name: String) -> Int {
        var name = name
        var hasher = Hasher()
        name.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        return hasher.finalize()
    }
}
