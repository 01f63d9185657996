#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A JSON value as it was sent: integers stay integers, and no number is rounded.
package enum JSONValue: Sendable, Equatable {
    /// `null`
    case null
    /// `true` or `false`
    case bool(Bool)
    /// A literal without fraction and exponent that fits; `-0` is 0.
    case integer(Int64)
    /// A literal without fraction and exponent beyond `Int64`, as written; kept apart so that a field error can say *out of range*.
    case hugeInteger(String)
    /// A literal with a fraction or an exponent, as written.
    case number(String)
    /// A string, its escapes resolved.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object.
    case object(JSONObject)

    /// The member of this name; nil when this is no object or has no such member.
    package subscript(name: String) -> JSONValue? {
        guard case .object(let object) = self else { return nil }
        return object[name]
    }
}

/// An object's members in the order sent. Names are compared by their bytes, never by Unicode equivalence.
package struct JSONObject: Sendable, Equatable {
    /// The members in the order sent.
    package private(set) var members: [(name: String, value: JSONValue)]

    /// Makes an object; the names must be distinct.
    package init(_ members: [(name: String, value: JSONValue)] = []) {
        self.members = members
    }

    /// The member of this name, nil when absent.
    package subscript(name: String) -> JSONValue? {
        for member in members where member.name.hasSameBytes(as: name) { return member.value }
        return nil
    }

    /// The same members in the same order.
    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.members.elementsEqual(right.members) { $0.name.hasSameBytes(as: $1.name) && $0.value == $1.value }
    }
}

extension String {
    /// Whether both have the same UTF-8. A set of names compares many that differ only at their end.
    func hasSameBytes(as other: String) -> Bool {
        guard utf8.count == other.utf8.count else { return false }
        let isEqual = utf8.withContiguousStorageIfAvailable { bytes in
            other.utf8.withContiguousStorageIfAvailable { otherBytes in
                guard let left = bytes.baseAddress, let right = otherBytes.baseAddress else { return true }
                return memcmp(left, right, bytes.count) == 0
            }
        }
        return (isEqual ?? nil) ?? utf8.elementsEqual(other.utf8)
    }
}
