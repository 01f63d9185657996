import Commerce
import JSON

/// Reads the members of one JSON object into typed values, and collects a fault for every one that is missing or invalid.
///
/// Absent and `null` mean the same. A function returns `nil` both for an absent optional member and for an invalid one;
/// `faults` tells afterwards whether there was one.
struct FieldReader {
    /// How many faults one answer names at most: rendering those of a hundred bad lines would block the event loop.
    static let maximumFaults = 32

    private let object: JSONObject
    /// What comes before a member's name in a fault, such as `discount.` or `items[0].`.
    private let path: String
    private(set) var faults: [FieldFault] = []

    init(_ object: JSONObject, path: String = "") {
        (self.object, self.path) = (object, path)
    }

    /// Adds a fault that only the caller can find, such as a member that contradicts another.
    mutating func refuse(_ name: String, _ reason: @autoclosure () -> String) {
        guard faults.count < FieldReader.maximumFaults else { return }
        faults.append(FieldFault(field: path + name, reason: reason()))
    }

    /// The value of a member; `nil` where absent or `null`.
    private func value(_ name: String) -> JSONValue? {
        guard let value = object[name], value != .null else { return nil }
        return value
    }

    /// Whether a member is there and is `null`, where that differs from an absent one.
    func isNull(_ name: String) -> Bool { object[name] == .null }

    /// The value of a required member; a fault where it is absent or `null`.
    private mutating func required(_ name: String) -> JSONValue? {
        if let value = value(name) { return value }
        refuse(name, "is required")
        return nil
    }
}

// MARK: Required members

extension FieldReader {
    mutating func integer(_ name: String, in range: ClosedRange<Int64>) -> Int64? {
        required(name).flatMap { integer($0, name, range) }
    }

    mutating func won(_ name: String, in range: ClosedRange<Int64>) -> Won? {
        integer(name, in: range).map(Won.init)
    }

    mutating func id<Entity>(_ name: String, of: Entity.Type) -> Identifier<Entity>? {
        integer(name, in: 1...Int64.max).map(Identifier.init)
    }

    mutating func displayName(_ name: String) -> String? {
        required(name).flatMap { displayName($0, name) }
    }

    mutating func choice(_ name: String, of choices: [String]) -> String? {
        guard let value = required(name) else { return nil }
        if case .string(let text) = value, choices.contains(text) { return text }
        refuse(name, "must be one of \(choices.joined(separator: ", "))")
        return nil
    }

    /// An object read by `read`; its faults carry this member's name in front.
    mutating func object<Value>(_ name: String, _ read: (inout FieldReader) -> Value?) -> Value? {
        required(name).flatMap { object($0, name, read) }
    }

    /// An array of objects; its faults carry the element's place in front.
    mutating func array<Value>(
        _ name: String, count: ClosedRange<Int>, _ read: (inout FieldReader) -> Value?
    ) -> [Value]? {
        required(name).flatMap { array($0, name, count, read) }
    }
}

// MARK: Optional members

extension FieldReader {
    mutating func optionalInteger(_ name: String, in range: ClosedRange<Int64>) -> Int64? {
        value(name).flatMap { integer($0, name, range) }
    }

    mutating func optionalWon(_ name: String, in range: ClosedRange<Int64>) -> Won? {
        optionalInteger(name, in: range).map(Won.init)
    }

    mutating func optionalID<Entity>(_ name: String, of: Entity.Type) -> Identifier<Entity>? {
        optionalInteger(name, in: 1...Int64.max).map(Identifier.init)
    }

    mutating func optionalDisplayName(_ name: String) -> String? {
        value(name).flatMap { displayName($0, name) }
    }

    mutating func optionalBool(_ name: String) -> Bool? {
        guard let value = value(name) else { return nil }
        if case .bool(let bool) = value { return bool }
        refuse(name, "must be true or false")
        return nil
    }

    mutating func optionalInstant(_ name: String) -> Instant? {
        guard let value = value(name) else { return nil }
        if case .string(let text) = value, let instant = Instant(rfc3339: text) { return instant }
        refuse(name, "must be an RFC 3339 date-time of the years 1970 to 9999, such as 2026-11-20T03:04:05.678Z")
        return nil
    }

    mutating func optionalArray<Value>(
        _ name: String, count: ClosedRange<Int>, _ read: (inout FieldReader) -> Value?
    ) -> [Value]? {
        value(name).flatMap { array($0, name, count, read) }
    }
}

// MARK: Values

extension FieldReader {
    private mutating func integer(_ value: JSONValue, _ name: String, _ range: ClosedRange<Int64>) -> Int64? {
        switch value {
        case .integer(let integer) where range.contains(integer):
            return integer
        case .integer, .hugeInteger:
            refuse(name, "must be from \(range.lowerBound) to \(range.upperBound)")
        case .null, .bool, .number, .string, .array, .object:
            refuse(name, "must be an integer")
        }
        return nil
    }

    private mutating func displayName(_ value: JSONValue, _ name: String) -> String? {
        guard case .string(let text) = value else {
            refuse(name, "must be a string")
            return nil
        }
        guard let fault = DisplayName.fault(in: text) else { return text }
        refuse(name, fault)
        return nil
    }

    private mutating func object<Value>(_ value: JSONValue, _ name: String, _ read: (inout FieldReader) -> Value?) -> Value? {
        guard case .object(let object) = value else {
            refuse(name, "must be an object")
            return nil
        }
        var inner = FieldReader(object, path: path + name + ".")
        let result = read(&inner)
        faults += inner.faults.prefix(FieldReader.maximumFaults - faults.count)
        return result
    }

    private mutating func array<Value>(
        _ value: JSONValue, _ name: String, _ count: ClosedRange<Int>, _ read: (inout FieldReader) -> Value?
    ) -> [Value]? {
        guard case .array(let elements) = value else {
            refuse(name, "must be an array")
            return nil
        }
        guard count.contains(elements.count) else {
            refuse(name, "must have from \(count.lowerBound) to \(count.upperBound) elements")
            return nil
        }
        var results: [Value] = []
        for (index, element) in elements.enumerated() where faults.count < FieldReader.maximumFaults {
            if let result = object(element, "\(name)[\(index)]", read) { results.append(result) }
        }
        return results
    }
}
