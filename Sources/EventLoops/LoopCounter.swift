public import Synchronization

/// A number that one event loop counts and any thread reads, for metrics.
///
/// With one writer, a plain load and store replace the locked addition that several writers would need. A reader may see two counters
/// of one loop at slightly different moments.
///
/// Public and not `package`, because only what is public is inlined in other modules.
public struct LoopCounter: ~Copyable, Sendable {
    @usableFromInline let number = Atomic<Int>(0)

    /// Begins at zero.
    @inlinable public init() {}

    /// The number now; readable from any thread.
    @inlinable public var value: Int { number.load(ordering: .relaxed) }

    /// Adds one. Only the loop that owns the counter may call it.
    @inlinable public func add() { add(1) }

    /// Adds to the number. Only the loop that owns the counter may call it.
    @inlinable public func add(_ amount: Int) { number.store(number.load(ordering: .relaxed) &+ amount, ordering: .relaxed) }

    /// Replaces the number. Only the loop that owns the counter may call it.
    @inlinable public func set(_ value: Int) { number.store(value, ordering: .relaxed) }
}
