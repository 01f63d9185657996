package import Commerce
package import Store

/// The state of the service as somebody who watches it is shown it, read from memory.
package struct LiveState: Sendable {
    package let at: Instant
    package let timeZone: String
    package let readiness: Readiness
    /// Nil where it is not known, as in a service that does not have the duties.
    package let outbox: OutboxStatistics?
    package let findings: [Finding]
    package let top: TopProducts
    /// Whether this service does the background duties of all services on the store.
    package let hasDuties: Bool
    /// Whether the store is on a server.
    package let isStoreOnServer: Bool
}

/// Something that recovery has found and repaired.
package struct Finding: Sendable, Equatable {
    package let at: Instant
    /// The name of the kind, as in `Sources/API/openapi.json`.
    package let kind: String
    package let count: Int

    package init(at: Instant, kind: String, count: Int) { (self.at, self.kind, self.count) = (at, kind, count) }
}

extension CommerceServices {
    /// The state now. Asks neither Redis nor a store on a server: they are taken to be as they were last.
    package var liveState: LiveState {
        LiveState(
            at: configuration.clock.now, timeZone: configuration.calendar.timeZoneIdentifier, readiness: lastReadiness,
            outbox: outbox.statistics, findings: found.latest, top: ranking.top, hasDuties: duties?.areHeld ?? true,
            isStoreOnServer: store.isOnServer)
    }
}
