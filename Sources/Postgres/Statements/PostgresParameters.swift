/// Takes the parameters of one statement in their order, in the server's binary formats.
///
/// A parameter that cannot be sent, or whose type is not the statement's, makes the whole trip fail with `.invalidParameter` before
/// anything of it is sent.
package struct PostgresParameters: ~Copyable {
    /// Where a value lies in ``bytes``; a negative length for NULL.
    struct Place {
        let offset: Int
        let length: Int32
    }

    /// The size of the largest value, which is that of the server's largest allocation (MaxAllocSize, 1 GB - 1).
    @usableFromInline static let largestValue = 0x3FFF_FFFF

    @usableFromInline var bytes = ParameterBytes()
    /// Whether the present array has a NULL so far.
    @usableFromInline var hasNull = false
    var places: [Place] = []
    /// What is wrong with the first parameter that cannot be sent.
    var fault: String?
    private var types: [PostgresType] = []
    /// How many parameters of the present statement were given.
    private var given = 0

    init() {}

    mutating func removeAll() {
        bytes.removeAll()
        places.removeAll(keepingCapacity: true)
        (fault, given, hasNull) = (nil, 0, false)
    }

    mutating func begin(_ statement: PostgresStatement) { (types, given) = (statement.parameters, 0) }

    mutating func end() {
        if given < types.count { note(fault: "\(types.count) parameters are needed, and \(given) were given") }
    }

    @usableFromInline mutating func note(fault: String) {
        if self.fault == nil { self.fault = fault }
    }

    /// Begins the next value, and returns its offset.
    @usableFromInline mutating func begin(_ type: PostgresType) -> Int {
        if given >= types.count {
            note(fault: "\(types.count) parameters are needed, and more were given")
        } else if types[given] != type {
            note(fault: "parameter $\(given + 1) is \(types[given].name), and \(type.name) was given")
        }
        given += 1
        return bytes.count
    }

    /// Ends the value that began at that offset.
    @usableFromInline mutating func end(at offset: Int) {
        let length = bytes.count - offset
        if length > Self.largestValue { note(fault: "parameter $\(given) is larger than 1 GB") }
        places.append(Place(offset: offset, length: Int32(clamping: length)))
    }

    /// NULL, of any type.
    package mutating func null() {
        if given >= types.count { note(fault: "\(types.count) parameters are needed, and more were given") }
        given += 1
        places.append(Place(offset: bytes.count, length: -1))
    }

    @inlinable mutating func number<Number: FixedWidthInteger>(_ number: Number, _ type: PostgresType) {
        let offset = begin(type)
        bytes.append(number)
        end(at: offset)
    }

    /// Appends a text's bytes; the server has no NUL character in texts.
    @usableFromInline mutating func append(utf8 text: String) {
        var text = text
        let hasNUL = text.withUTF8 { utf8 in
            bytes.append(UnsafeRawBufferPointer(utf8))
            return utf8.contains(0)
        }
        if hasNUL { note(fault: "parameter $\(given) has a NUL character, which no text of the server can hold") }
    }

    @inlinable mutating func append(bytes value: some Collection<UInt8>) {
        let contiguous: Void? = value.withContiguousStorageIfAvailable { bytes.append(UnsafeRawBufferPointer($0)) }
        if contiguous == nil { for byte in value { bytes.append(byte) } }
    }
}

// MARK: - Single values

extension PostgresParameters {
    /// A `bigint`.
    package mutating func int8(_ value: Int64) { number(value, .int8) }
    /// An `integer`.
    package mutating func int4(_ value: Int32) { number(value, .int4) }
    /// A `smallint`.
    package mutating func int2(_ value: Int16) { number(value, .int2) }
    /// A `double precision`.
    package mutating func float8(_ value: Double) { number(value.bitPattern, .float8) }
    /// A `boolean`.
    package mutating func bool(_ value: Bool) { number(value ? 1 : 0 as UInt8, .bool) }

    /// A `text`, without NUL characters.
    package mutating func text(_ value: String) {
        let offset = begin(.text)
        append(utf8: value)
        end(at: offset)
    }

    /// A `bytea` of at most 1 GB.
    @inlinable package mutating func bytea(_ value: some Collection<UInt8>) {
        let offset = begin(.bytea)
        append(bytes: value)
        end(at: offset)
    }

    /// NULL for nil.
    package mutating func int8(_ value: Int64?) { if let value { int8(value) } else { null() } }
    package mutating func int4(_ value: Int32?) { if let value { int4(value) } else { null() } }
    package mutating func int2(_ value: Int16?) { if let value { int2(value) } else { null() } }
    package mutating func float8(_ value: Double?) { if let value { float8(value) } else { null() } }
    package mutating func bool(_ value: Bool?) { if let value { bool(value) } else { null() } }
    package mutating func text(_ value: String?) { if let value { text(value) } else { null() } }
    @inlinable package mutating func bytea(_ value: (some Collection<UInt8>)?) { if let value { bytea(value) } else { null() } }
}
