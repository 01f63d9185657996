package import NIOCore

/// Writes JSON straight into a `ByteBuffer`, with commas where they belong; text is written as raw UTF-8.
///
/// It does not check that calls form a document: `begin` and `end` must match, and inside an object only members may be written.
package struct JSONWriter {
    /// What was written so far.
    package var buffer: ByteBuffer
    private var needsComma = false

    /// Appends to a buffer, which may already hold bytes.
    package init(buffer: ByteBuffer = ByteBuffer()) {
        self.buffer = buffer
    }

    /// Starts with an empty buffer that has room for a document of this many bytes.
    package init(capacity: Int) {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(capacity)
        self.init(buffer: buffer)
    }

    // MARK: Values: the document itself, or elements of an array

    /// Begins an object as the document or as an element.
    package mutating func beginObject() { open(UInt8(ascii: "{")) }

    /// Ends the innermost object.
    package mutating func endObject() { close(UInt8(ascii: "}")) }

    /// Begins an array as the document or as an element.
    package mutating func beginArray() { open(UInt8(ascii: "[")) }

    /// Ends the innermost array.
    package mutating func endArray() { close(UInt8(ascii: "]")) }

    /// Writes an integer element.
    package mutating func element(_ value: Int64) {
        separate()
        buffer.writeJSONInteger(value)
    }

    /// Writes a string element.
    package mutating func element(_ value: String) {
        separate()
        buffer.writeJSONString(value)
    }

    /// Writes a Boolean element.
    package mutating func element(_ value: Bool) {
        separate()
        buffer.writeStaticString(value ? "true" : "false")
    }

    /// Writes a null element.
    package mutating func elementNull() {
        separate()
        buffer.writeStaticString("null")
    }

    /// Writes an element that already is JSON.
    package mutating func element(raw: ByteBuffer) {
        separate()
        buffer.writeImmutableBuffer(raw)
    }

    // MARK: Members; names are literals that need no escape

    /// Begins an object as a member.
    package mutating func beginObject(_ name: StaticString) {
        write(name)
        buffer.writeInteger(UInt8(ascii: "{"))
        needsComma = false
    }

    /// Begins an array as a member.
    package mutating func beginArray(_ name: StaticString) {
        write(name)
        buffer.writeInteger(UInt8(ascii: "["))
        needsComma = false
    }

    /// Writes an integer member.
    package mutating func member(_ name: StaticString, _ value: Int64) {
        write(name)
        buffer.writeJSONInteger(value)
    }

    /// Writes a string member.
    package mutating func member(_ name: StaticString, _ value: String) {
        write(name)
        buffer.writeJSONString(value)
    }

    /// Writes a Boolean member.
    package mutating func member(_ name: StaticString, _ value: Bool) {
        write(name)
        buffer.writeStaticString(value ? "true" : "false")
    }

    /// Writes a null member.
    package mutating func memberNull(_ name: StaticString) {
        write(name)
        buffer.writeStaticString("null")
    }

    /// Writes an integer member, or null.
    package mutating func member(_ name: StaticString, _ value: Int64?) {
        if let value { member(name, value) } else { memberNull(name) }
    }

    /// Writes a string member, or null.
    package mutating func member(_ name: StaticString, _ value: String?) {
        if let value { member(name, value) } else { memberNull(name) }
    }

    /// Writes a member whose value already is JSON.
    package mutating func member(_ name: StaticString, raw: ByteBuffer) {
        write(name)
        buffer.writeImmutableBuffer(raw)
    }

    /// Writes a member whose value is a JSON literal or a string known to need no escape, quotes included.
    package mutating func member(_ name: StaticString, raw: StaticString) {
        write(name)
        buffer.writeStaticString(raw)
    }

    // MARK: Any value

    /// Writes a value of any shape as the document or as an element.
    package mutating func element(_ value: JSONValue) {
        switch value {
        case .null: elementNull()
        case .bool(let bool): element(bool)
        case .integer(let integer): element(integer)
        case .hugeInteger(let text), .number(let text):
            separate()
            buffer.writeString(text)
        case .string(let string): element(string)
        case .array(let elements):
            beginArray()
            for each in elements { element(each) }
            endArray()
        case .object(let object):
            beginObject()
            for member in object.members {
                separate()
                buffer.writeJSONString(member.name)
                buffer.writeInteger(UInt8(ascii: ":"))
                needsComma = false
                element(member.value)
            }
            endObject()
        }
    }

    private mutating func open(_ bracket: UInt8) {
        separate()
        buffer.writeInteger(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        buffer.writeInteger(bracket)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { buffer.writeInteger(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func write(_ name: StaticString) {
        assert(name.withUTF8Buffer { $0.allSatisfy { $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C } }, "a name that needs an escape")
        buffer.writeJSONName(name, afterComma: needsComma)
        needsComma = true
    }
}
