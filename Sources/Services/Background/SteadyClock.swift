/// A monotonic clock for pauses, which changes of the machine's date do not affect. Tests supply their own.
struct SteadyClock: Sendable {
    private let read: @Sendable () -> Duration

    init(_ read: @escaping @Sendable () -> Duration) { self.read = read }

    /// The time since a fixed moment of this process.
    var now: Duration { read() }

    private static let origin = ContinuousClock.now
    static let system = SteadyClock { ContinuousClock.now - origin }
}
