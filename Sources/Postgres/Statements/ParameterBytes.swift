/// The bytes of all parameters of a trip, in one buffer that every trip of a connection uses again.
@usableFromInline
struct ParameterBytes: ~Copyable {
    @usableFromInline var start: UnsafeMutableRawPointer
    @usableFromInline var count = 0
    @usableFromInline var capacity: Int

    private static let usualCapacity = 16 << 10
    /// A buffer that has grown beyond this is given back after its trip.
    private static let largestKept = 4 << 20

    init() {
        capacity = Self.usualCapacity
        start = .allocate(byteCount: capacity, alignment: 8)
    }

    deinit { start.deallocate() }

    mutating func removeAll() {
        count = 0
        guard capacity > Self.largestKept else { return }
        start.deallocate()
        capacity = Self.usualCapacity
        start = .allocate(byteCount: capacity, alignment: 8)
    }

    /// Makes room for that many more bytes.
    @inlinable mutating func reserve(_ more: Int) {
        if capacity - count < more { grow(more) }
    }

    @usableFromInline mutating func grow(_ more: Int) {
        let larger = max(capacity * 2, count + more)
        let next = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 8)
        next.copyMemory(from: start, byteCount: count)
        start.deallocate()
        (start, capacity) = (next, larger)
    }

    /// Appends a number in the order of the network.
    @inlinable mutating func append<Number: FixedWidthInteger>(_ number: Number) {
        reserve(MemoryLayout<Number>.size)
        start.storeBytes(of: number.bigEndian, toByteOffset: count, as: Number.self)
        count += MemoryLayout<Number>.size
    }

    @inlinable mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        reserve(bytes.count)
        (start + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }

    /// Overwrites a number that was appended at `offset`.
    @inlinable mutating func store<Number: FixedWidthInteger>(_ number: Number, at offset: Int) {
        start.storeBytes(of: number.bigEndian, toByteOffset: offset, as: Number.self)
    }
}
