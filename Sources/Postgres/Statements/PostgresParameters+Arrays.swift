/// Arrays of one dimension, in the format of `array_recv`: dimensions, whether there are NULLs, the elements' type, their count, the
/// first index, and each element with its length, which is -1 for NULL.
extension PostgresParameters {
    // These are for arrays alone: the compiler does not specialize the generic functions below for callers in other modules, and then they
    // look up types at run time for each element.

    /// A `bigint[]`.
    package mutating func int8Array(_ values: [Int64]) { array(values, .int8Array, of: .int8) { $0.element($1) } }

    /// Nil is NULL.
    package mutating func int8Array(_ values: [Int64?]) {
        array(values, .int8Array, of: .int8) { $0.element(optional: $1) { $0.element($1) } }
    }

    /// A `text[]`.
    package mutating func textArray(_ values: [String]) {
        array(values, .textArray, of: .text) { $0.element(sized: $1) { $0.append(utf8: $1) } }
    }

    /// Nil is NULL.
    package mutating func textArray(_ values: [String?]) {
        array(values, .textArray, of: .text) { $0.element(optional: $1) { $0.element(sized: $1) { $0.append(utf8: $1) } } }
    }

    /// A `bytea[]`.
    package mutating func byteaArray(_ values: [[UInt8]]) {
        array(values, .byteaArray, of: .bytea) { $0.element(sized: $1) { $0.append(bytes: $1) } }
    }

    /// A `bigint[]`.
    @inlinable package mutating func int8Array(_ values: some Sequence<Int64>) {
        array(values, .int8Array, of: .int8) { $0.element($1) }
    }

    /// Nil is NULL.
    @inlinable package mutating func int8Array(_ values: some Sequence<Int64?>) {
        array(values, .int8Array, of: .int8) { $0.element(optional: $1) { $0.element($1) } }
    }

    /// A `boolean[]`.
    @inlinable package mutating func boolArray(_ values: some Sequence<Bool>) {
        array(values, .boolArray, of: .bool) { $0.element($1 ? 1 : 0 as UInt8) }
    }

    /// Nil is NULL.
    @inlinable package mutating func boolArray(_ values: some Sequence<Bool?>) {
        array(values, .boolArray, of: .bool) { $0.element(optional: $1) { $0.element($1 ? 1 : 0 as UInt8) } }
    }

    /// A `text[]`.
    @inlinable package mutating func textArray(_ values: some Sequence<String>) {
        array(values, .textArray, of: .text) { $0.element(sized: $1) { $0.append(utf8: $1) } }
    }

    /// Nil is NULL.
    @inlinable package mutating func textArray(_ values: some Sequence<String?>) {
        array(values, .textArray, of: .text) { $0.element(optional: $1) { $0.element(sized: $1) { $0.append(utf8: $1) } } }
    }

    /// A `bytea[]`.
    @inlinable package mutating func byteaArray<Bytes: Collection<UInt8>>(_ values: some Sequence<Bytes>) {
        array(values, .byteaArray, of: .bytea) { $0.element(sized: $1) { $0.append(bytes: $1) } }
    }

    /// Nil is NULL.
    @inlinable package mutating func byteaArray<Bytes: Collection<UInt8>>(_ values: some Sequence<Bytes?>) {
        array(values, .byteaArray, of: .bytea) { $0.element(optional: $1) { $0.element(sized: $1) { $0.append(bytes: $1) } } }
    }

    @inlinable mutating func array<Values: Sequence>(
        _ values: Values, _ type: PostgresType, of element: PostgresType, _ append: (inout PostgresParameters, Values.Element) -> Void
    ) {
        let offset = begin(type)
        // One dimension, no NULL so far, elements of this type, their count, and the first index.
        bytes.append(1 as Int32)
        bytes.append(0 as Int32)
        bytes.append(element.rawValue)
        bytes.append(0 as Int32)
        bytes.append(1 as Int32)
        var count: Int32 = 0
        for value in values {
            append(&self, value)
            count += 1
        }
        if count == 0 {
            // An empty array has no dimension.
            bytes.store(0 as Int32, at: offset)
            bytes.count = offset + 12
        } else {
            bytes.store(count, at: offset + 12)
        }
        if hasNull {
            bytes.store(1 as Int32, at: offset + 4)
            hasNull = false
        }
        end(at: offset)
    }

    @inlinable mutating func element<Number: FixedWidthInteger>(_ number: Number) {
        bytes.append(Int32(MemoryLayout<Number>.size))
        bytes.append(number)
    }

    @inlinable mutating func element<Value>(optional value: Value?, _ append: (inout PostgresParameters, Value) -> Void) {
        if let value {
            append(&self, value)
        } else {
            bytes.append(-1 as Int32)
            hasNull = true
        }
    }

    /// Appends an element whose size is known only after it.
    @inlinable mutating func element<Value>(sized value: Value, _ append: (inout PostgresParameters, Value) -> Void) {
        let offset = bytes.count
        bytes.append(0 as Int32)
        append(&self, value)
        let length = bytes.count - offset - 4
        if length > Self.largestValue { note(fault: "an element of an array is larger than 1 GB") }
        bytes.store(Int32(clamping: length), at: offset)
    }
}
