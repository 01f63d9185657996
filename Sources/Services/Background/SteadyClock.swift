/// Measures pauses: it only goes forward, whatever happens to the machine's date. Tests put their own in.
struct SteadyClock: Sendable {
    private let read: @Sendable () -> Duration

    init(_ read: @escaping @Sendable () -> Duration) { self.read = read }

    /// The time since some moment of this process.
    var now: Duration { read() }

    private static let origin = ContinuousClock.now
    static let system = SteadyClock { ContinuousClock.now - origin }
}
