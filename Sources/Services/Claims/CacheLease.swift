import NIOCore

/// Decides whether a value that an event loop has cached, from Redis or from the store, is still valid.
///
/// - A value is valid for the lease's length, counted from when its request was sent. So a change by another process is seen one lease
///   later at most.
/// - A write of this service ends it at once: it moves the version of the row, see `RowVersions`.
/// - A reconnect ends it at once: what was seen of one Redis says nothing about the one that answers now.
package struct CacheLease: Sendable {
    /// What a cached value has to be held against.
    package struct Stamp: Sendable, Equatable {
        let askedAt: NIODeadline
        let origin: Origin
    }

    /// How often the row was written and the loop connected to Redis when the value was asked for.
    struct Origin: Sendable, Equatable {
        let rowVersion: UInt64
        let connectCount: Int
    }

    /// Zero keeps nothing: every value is asked for anew.
    let length: TimeAmount

    func holds(_ stamp: Stamp, at now: NIODeadline, for origin: Origin) -> Bool {
        stamp.origin == origin && now < stamp.askedAt + length
    }

    /// The second half of the lease, in which one caller renews the value while the others go on using it.
    func isSecondHalf(of stamp: Stamp, at now: NIODeadline) -> Bool {
        now >= stamp.askedAt + .nanoseconds(length.nanoseconds / 2)
    }
}
