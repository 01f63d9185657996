/// How long after a fault what it concerns worked again.
package struct FirstSuccess: Sendable, Hashable {
    package let time: Duration
    /// The longest that it may take.
    package let limit: Duration

    package var isLate: Bool { time > limit }
}
