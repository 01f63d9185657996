import NIOCore

/// The shortest of the durations of the last one or two windows.
///
/// A longer one replaces it once the windows have passed, so that it follows a server that has moved farther away.
struct ShortestDuration {
    private var windowBegan: NIODeadline?
    private var ofThisWindow = Int64.max
    private var ofLastWindow = Int64.max

    private static let window = TimeAmount.minutes(5)

    /// Adds a duration in nanoseconds. Returns the shortest.
    mutating func add(_ duration: Int64, at now: NIODeadline) -> Int64 {
        if let windowBegan, now < windowBegan + Self.window {
            ofThisWindow = min(ofThisWindow, duration)
        } else {
            (windowBegan, ofLastWindow, ofThisWindow) = (now, ofThisWindow, duration)
        }
        return min(ofThisWindow, ofLastWindow)
    }
}
