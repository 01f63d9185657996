package import Commerce

/// How the services are set up. The initial value of a setting is its default, which `firstcome serve --help` prints.
package struct ServicesConfiguration: Sendable {
    package var policy: Policy
    package var calendar: BusinessCalendar
    package var clock: WallClock
    /// The least time between two unions of the ranking.
    package var rankingRefresh: Duration = .seconds(1)
    /// How often gates and store are compared when nothing has happened to either.
    package var recoveryInterval: Duration = .seconds(10)
    /// How long after its end a campaign keeps its gate in Redis.
    package var archiveAfter: Duration = .seconds(86_400)
    /// How long a delivered event is kept in the store, see ``Retention``.
    package var keepEvents: Duration = .seconds(90 * 86_400)
    /// How long a value that an event loop caches counts, see ``CacheLease``: as long as `Retry-After` has clients wait, and long
    /// beside the time between two claims, also where they spread over thousands of campaigns. Zero has each claim ask Redis.
    package var cacheLease: Duration = .seconds(1)
    /// `nil` sends events to the Redis stream.
    package var platform: DataPlatform?
    /// Brings a private Redis back when it is gone; `nil` where Redis is somebody else's.
    package var privateRedis: PrivateRedis?

    package init(policy: Policy = Policy(), calendar: BusinessCalendar, clock: WallClock = .system) {
        (self.policy, self.calendar, self.clock) = (policy, calendar, clock)
    }
}
