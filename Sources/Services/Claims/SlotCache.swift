/// A cache of a fixed number of slots: a value takes the slot of the one whose key has the same last bits.
///
/// It holds what was used last, in bounded memory, without a list of what to drop next. Looking one up compares one key. A value type
/// without a lock: each event loop has its own. Public and inlinable, because only then other modules get specialised code.
public struct SlotCache<Key: Equatable, Value> {
    @usableFromInline var keys: [Key?]
    @usableFromInline var values: [Value?]

    /// - Parameter capacity: a power of two.
    @inlinable
    public init(capacity: Int) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0, "the slot is cut from the hash by a mask")
        keys = Array(repeating: nil, count: capacity)
        values = Array(repeating: nil, count: capacity)
    }

    /// The value of a key in the slot that `hash` chooses: equal for equal keys, and different for neighbours.
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

    /// Every value that is kept.
    @inlinable public var all: [Value] { values.compactMap(\.self) }

    @inlinable func slot(_ hash: Int64) -> Int { Int(truncatingIfNeeded: hash) & (keys.count - 1) }
}
