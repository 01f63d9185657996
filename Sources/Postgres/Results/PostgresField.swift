/// One value of a row in the server's binary format.
package struct PostgresField {
    /// The type's number in `pg_type`.
    package let type: UInt32
    /// Nil for NULL. The bytes are valid as long as their result.
    package let bytes: UnsafeRawBufferPointer?

    package init(type: UInt32, bytes: UnsafeRawBufferPointer?) { (self.type, self.bytes) = (type, bytes) }

    /// The bytes, where the value is of that type and not NULL.
    func bytes(of type: PostgresType) -> UnsafeRawBufferPointer? { self.type == type.rawValue ? bytes : nil }
}

extension UnsafeRawBufferPointer {
    /// A number in the order of the network; nil where the bytes are not as many as its size.
    func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number? {
        count == MemoryLayout<Number>.size ? Number(bigEndian: loadUnaligned(as: Number.self)) : nil
    }

    /// A number at an offset, where there are that many bytes.
    func number<Number: FixedWidthInteger>(at offset: Int, _ type: Number.Type = Number.self) -> Number? {
        offset + MemoryLayout<Number>.size <= count ? Number(bigEndian: loadUnaligned(fromByteOffset: offset, as: Number.self)) : nil
    }
}

/// What a value of a row can be read as.
package protocol PostgresReadable {
    /// Nil where the value has another type, or is NULL.
    init?(_ field: PostgresField)
}

extension Int64: PostgresReadable {
    /// Reads `bigint`, `integer` and `smallint`.
    package init?(_ field: PostgresField) {
        guard let bytes = field.bytes else { return nil }
        switch field.type {
        case PostgresType.int8.rawValue: if let value: Int64 = bytes.number() { self = value } else { return nil }
        case PostgresType.int4.rawValue: if let value: Int32 = bytes.number() { self.init(value) } else { return nil }
        case PostgresType.int2.rawValue: if let value: Int16 = bytes.number() { self.init(value) } else { return nil }
        default: return nil
        }
    }
}

extension Int: PostgresReadable {
    /// Reads `bigint`, `integer` and `smallint`.
    package init?(_ field: PostgresField) {
        guard let value = Int64(field) else { return nil }
        self.init(exactly: value)
    }
}

extension Int32: PostgresReadable {
    /// Reads `integer` and `smallint`.
    package init?(_ field: PostgresField) {
        guard field.type != PostgresType.int8.rawValue, let value = Int64(field) else { return nil }
        self.init(exactly: value)
    }
}

extension Int16: PostgresReadable {
    /// Reads `smallint`.
    package init?(_ field: PostgresField) {
        guard let value: Int16 = field.bytes(of: .int2)?.number() else { return nil }
        self = value
    }
}

extension Double: PostgresReadable {
    /// Reads `double precision`.
    package init?(_ field: PostgresField) {
        guard let bits: UInt64 = field.bytes(of: .float8)?.number() else { return nil }
        self.init(bitPattern: bits)
    }
}

extension Bool: PostgresReadable {
    /// Reads `boolean`.
    package init?(_ field: PostgresField) {
        guard let byte: UInt8 = field.bytes(of: .bool)?.number() else { return nil }
        self = byte != 0
    }
}

extension String: PostgresReadable {
    /// `text`, `varchar`, `char(n)`, `name`, `json` and literals without a type: all are sent as their characters in UTF-8.
    private static let types: Set<UInt32> = [PostgresType.text.rawValue, 1043, 1042, 19, 114, 705]

    package init?(_ field: PostgresField) {
        guard let bytes = field.bytes, field.type == PostgresType.text.rawValue || Self.types.contains(field.type) else { return nil }
        self.init(decoding: bytes, as: UTF8.self)
    }
}

extension Optional: PostgresReadable where Wrapped: PostgresReadable {
    /// Reads NULL as nil.
    package init?(_ field: PostgresField) {
        if field.bytes == nil {
            self = .none
        } else if let value = Wrapped(field) {
            self = .some(value)
        } else {
            return nil
        }
    }
}
