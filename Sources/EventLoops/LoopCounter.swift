package import Synchronization

/// A number that one event loop counts and any thread reads, for metrics.
///
/// With one writer, a plain load and store replace the locked addition that several writers would need. A reader may see two counters
/// of one loop at slightly different moments.
package struct LoopCounter: ~Copyable, Sendable {
    @usableFromInline let number = Atomic<Int>(0)

    /// Begins at zero.
    @inlinable package init() {}

    /// The number now; readable from any thread.
    @inlinable package var value: Int { number.load(ordering: .relaxed) }

    /// Adds to the number. Only the loop that owns the counter may call it.
    @inlinable package func add(_ amount: Int = 1) { number.store(number.load(ordering: .relaxed) &+ amount, ordering: .relaxed) }

    /// Replaces the number. Only the loop that owns the counter may call it.
    @inlinable package func set(_ value: Int) { number.store(value, ordering: .relaxed) }
}
