/// What an array is read as: `[Int64]` and the like for one without NULL, `[Int64?]` for one with, and `[UInt8]` for `bytea`.
package protocol PostgresArrayElement: PostgresReadable {
    static func readArray(_ field: PostgresField) -> [Self]?
}

extension Array: PostgresReadable where Element: PostgresArrayElement {
    package init?(_ field: PostgresField) {
        guard let elements = Element.readArray(field) else { return nil }
        self = elements
    }
}

extension PostgresArrayElement {
    /// Reads an array of no or one dimension, as `array_send` sends it.
    package static func readArray(_ field: PostgresField) -> [Self]? {
        guard PostgresArrays.isArray(field.type), let bytes = field.bytes, let dimensions: Int32 = bytes.number(at: 0),
            let type: UInt32 = bytes.number(at: 8)
        else { return nil }
        if dimensions == 0 { return [] }
        guard dimensions == 1, let count: Int32 = bytes.number(at: 12), count >= 0, Int(count) <= bytes.count / 4 else { return nil }
        var elements: [Self] = []
        elements.reserveCapacity(Int(count))
        var offset = PostgresArrays.headerSize
        for _ in 0..<count {
            guard let length: Int32 = bytes.number(at: offset) else { return nil }
            offset += 4
            let end = offset + max(Int(length), 0)
            guard end <= bytes.count else { return nil }
            let value = length < 0 ? nil : UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
            guard let element = Self(PostgresField(type: type, bytes: value)) else { return nil }
            elements.append(element)
            offset = end
        }
        return elements
    }
}

private enum PostgresArrays {
    /// Dimensions, whether there are NULLs, the elements' type, their count, and the first index.
    static let headerSize = 20

    /// The arrays of the types that can be elements: of `boolean`, `bytea`, `smallint`, `integer`, `text`, `varchar`, `bigint` and
    /// `double precision`.
    static func isArray(_ type: UInt32) -> Bool {
        switch type {
        case 1000, 1001, 1005, 1007, 1009, 1015, 1016, 1022: true
        default: false
        }
    }
}

extension Int64: PostgresArrayElement {}
extension Int32: PostgresArrayElement {}
extension Int16: PostgresArrayElement {}
extension Double: PostgresArrayElement {}
extension Bool: PostgresArrayElement {}
extension String: PostgresArrayElement {}

extension Optional: PostgresArrayElement where Wrapped: PostgresArrayElement {}

extension Array: PostgresArrayElement where Element == UInt8 {}

extension UInt8: PostgresArrayElement {
    /// No type of the server is one byte that is a number.
    package init?(_ field: PostgresField) { return nil }

    /// Reads `bytea`.
    package static func readArray(_ field: PostgresField) -> [UInt8]? { field.bytes(of: .bytea).map { Array($0) } }
}
