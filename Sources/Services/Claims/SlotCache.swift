/// A cache with a fixed number of slots. A new value replaces the value whose hash has the same low bits.
///
/// Memory is bounded without a list of what to drop next, and a lookup compares one key. A value type without a lock: each event loop
/// has its own. Public and inlinable, because only then do other modules get specialised code.
public struct SlotCache<Key: Equatable, Value> {
    @usableFromInline var keys: [Key?]
    @usableFromInline var values: [Value?]

    /// - Parameter capacity: a power of two.
    @inlinable
    public init(capacity: Int) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0, "the capacity must be a power of two")
        keys = Array(repeating: nil, count: capacity)
        values = Array(repeating: nil, count: capacity)
    }

    /// The value of a key.
    ///
    /// - Parameter hash: chooses the slot. It must be equal for equal keys, and should differ for neighbouring ones.
    @inlinable
    public subscript(key key: Key, hash hash: Int64) -> Value? {
        get {
            let slot = slot(hash)
            return keys[slot] == key ? values[slot] : nil
        }
        set {
            let slot = slot(hash)
            if newValue == nil && keys[slot] != key { return }
            keys[slot] = newValue == nil ? nil : key
            values[slot] = newValue
        }
    }

    /// Every cached value.
    @inlinable public var all: [Value] { values.compactMap(\.self) }

    @inlinable func slot(_ hash: Int64) -> Int { Int(truncatingIfNeeded: hash) & (keys.count - 1) }
}
