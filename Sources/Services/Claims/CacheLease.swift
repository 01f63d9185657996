import NIOCore

/// Decides whether a value that an event loop has cached, from Redis or from the store, is still valid.
///
/// - A value is valid for the lease's length, counted from when its request was sent. So a change by another process is seen after one
///   lease at most.
/// - A write of this service to the row ends it at once, because it raises the row's version, see `RowVersions`.
/// - A reconnect ends it at once, because it may lead to another Redis or to one that has lost data.
package struct CacheLease: Sendable {
    /// When a value was requested, and its origin at that time: what its validity is decided by.
    package struct Stamp: Sendable, Equatable {
        let askedAt: NIODeadline
        let origin: Origin
    }

    /// The version of the row, and how often the loop had connected to Redis, when a value was requested.
    struct Origin: Sendable, Equatable {
        let rowVersion: UInt64
        let connectCount: Int
    }

    /// With zero no value is ever valid, so each one is requested again.
    let length: TimeAmount

    /// Whether a value with that stamp is valid; `origin` is the present one.
    func isValid(_ stamp: Stamp, at now: NIODeadline, for origin: Origin) -> Bool {
        stamp.origin == origin && now < stamp.askedAt + length
    }

    /// Whether the lease is in its second half, in which one caller renews the value while the others go on using it.
    func isSecondHalf(of stamp: Stamp, at now: NIODeadline) -> Bool {
        now >= stamp.askedAt + .nanoseconds(length.nanoseconds / 2)
    }
}
