import NIOCore

/// The one rule by which everything that an event loop caches, from Redis or from the store, counts or not.
///
/// - A value counts from the moment it was asked for, for the length of the lease. So a change by another process, or behind the
///   service's back, is seen one lease later at most.
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
