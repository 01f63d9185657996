package import Commerce

/// The right to do the background duties of all services on one store: relay, delivery, expiry and the like. One service has it at a time.
///
/// The lease lasts ``length`` from the last renewal, by the clock of the store's server, so clocks of services need not agree. Its holder
/// goes by its own monotonic clock and stops ``DutyTerm/length`` after it has sent the last renewal that succeeded, which is earlier.
package protocol DutyLease: AnyObject, Sendable {
    /// Takes the lease where it is free, and where it was taken by this object before.
    ///
    /// - Parameters:
    ///   - patience: for how long it has to be free: a service that others should be preferred to lets them try first.
    ///   - isSuccessor: whether the service notes, where it cannot take the lease, that it could do the duties at once.
    func take(after patience: Duration, isSuccessor: Bool) async throws(StoreError) -> DutyTaking

    /// Renews the lease for its term; nil where another service has taken it.
    func renew(_ term: DutyMark) async throws(StoreError) -> DutyNews?

    /// Makes the lease free, if it is of that term.
    func release(_ term: DutyMark) async throws(StoreError)

    /// Keeps what this service tells about itself, and removes what services told that are gone.
    func report(_ report: ServiceReport) async throws(StoreError)

    /// Ends the connection. A lease that was not released stays until it ends.
    func close()
}

/// What an attempt to take the lease came to.
package enum DutyTaking: Sendable {
    case taken(DutyMark, DutyNews)
    /// Another service has the lease, or it is not free for long enough. It may be taken after that time, if it is not renewed.
    case held(rest: Duration)
}

/// By what the store tells one term of the lease from all others.
///
/// The number rises with each take. After a failover to a standby that missed a take it may repeat, but not with the same holder.
package struct DutyMark: Sendable, Hashable {
    /// A random number of the service that has the lease.
    package let holder: Int64
    package let term: Int64

    package init(holder: Int64, term: Int64) { (self.holder, self.term) = (holder, term) }
}

/// What other services have done that the holder of the lease has to know, since their commits wake nothing in its process.
package struct DutyNews: Sendable, Equatable {
    /// Whether another service has noted that it could do the duties at once.
    package let hasSuccessor: Bool
    /// Rises with each event that is appended.
    package let events: Int64
    /// Rises each time that delivered or parked events are made to wait again.
    package let retries: Int64
    /// When the first pending order expires; nil without one.
    package let nextExpiry: Instant?

    package init(hasSuccessor: Bool, events: Int64, retries: Int64, nextExpiry: Instant?) {
        (self.hasSuccessor, self.events, self.retries, self.nextExpiry) = (hasSuccessor, events, retries, nextExpiry)
    }
}
