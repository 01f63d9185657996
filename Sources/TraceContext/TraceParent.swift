/// The position of a request in a distributed trace: the `traceparent` of W3C Trace Context, level 2.
///
/// Reading is strict, because a value that two services understand differently would split a trace: lowercase digits only, exact
/// lengths, no zero ids. A request with an invalid value is served as one without any.
package struct TraceParent: Sendable, Equatable {
    /// The first and the last 64 bits of the trace id, which all requests of a trace share. Not both are zero.
    package let traceID: (high: UInt64, low: UInt64)
    /// The id of the caller's own span, never zero.
    package let parentID: UInt64
    /// The flags that the recommendation defines: bit 0 is *sampled*, bit 1 is *random trace id*. The reserved bits are zero.
    package let flags: UInt8

    /// Bytes of a value of version 00.
    package static let byteCount = 55
    /// Where a value has the 32 digits of its trace id.
    package static let traceIDRange = 3..<35

    private static let definedFlags: UInt8 = 0b11

    private init(traceID: (high: UInt64, low: UInt64), parentID: UInt64, flags: UInt8) {
        (self.traceID, self.parentID, self.flags) = (traceID, parentID, flags)
    }

    /// Reads the value of a `traceparent` field, without white space at its ends; nil where it is invalid.
    ///
    /// A value of a version above 00 may be longer; its first parts mean the same (section 3.2.4 of the recommendation).
    package init?(_ value: UnsafeRawBufferPointer) {
        guard value.count >= Self.byteCount else { return nil }
        let hyphen = UInt8(ascii: "-")
        guard value[2] == hyphen, value[35] == hyphen, value[52] == hyphen else { return nil }
        guard let version = Self.number(value, 0, 2), let high = Self.number(value, 3, 16), let low = Self.number(value, 19, 16),
            let parentID = Self.number(value, 36, 16), let flags = Self.number(value, 53, 2)
        else { return nil }
        guard version != 0xFF, high | low != 0, parentID != 0 else { return nil }
        guard value.count == Self.byteCount || version != 0 && value[Self.byteCount] == hyphen else { return nil }
        self.init(traceID: (high, low), parentID: parentID, flags: UInt8(truncatingIfNeeded: flags) & Self.definedFlags)
    }

    /// Reads the text of a value; nil where it is invalid.
    package init?(_ text: String) {
        var text = text
        let value = text.withUTF8 { TraceParent(UnsafeRawBufferPointer($0)) }
        guard let value else { return nil }
        self = value
    }

    /// The same trace, with a new random id of a span: what a request to another service carries.
    package func child() -> TraceParent {
        TraceParent(traceID: traceID, parentID: .random(in: 1...UInt64.max), flags: flags)
    }

    /// The trace id as 32 lowercase hexadecimal digits.
    package var traceIDText: String { Self.hex(traceID.high, 16) + Self.hex(traceID.low, 16) }

    package static func == (left: TraceParent, right: TraceParent) -> Bool {
        left.traceID == right.traceID && left.parentID == right.parentID && left.flags == right.flags
    }

    /// A number of up to 16 lowercase hexadecimal digits; nil where another byte is among them.
    private static func number(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ count: Int) -> UInt64? {
        var number: UInt64 = 0
        for index in start..<start + count {
            switch bytes[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): number = number << 4 | UInt64(bytes[index] - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): number = number << 4 | UInt64(bytes[index] - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return number
    }

    private static func hex(_ number: UInt64, _ digits: Int) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: digits - text.utf8.count) + text
    }
}

extension TraceParent: CustomStringConvertible {
    /// The value of a `traceparent` field of version 00.
    package var description: String { "00-\(traceIDText)-\(Self.hex(parentID, 16))-\(Self.hex(UInt64(flags), 2))" }
}
