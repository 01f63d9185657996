package import Commerce

/// How the services are set up. The initial value of a setting is its default, which `firstcome serve --help` prints.
package struct ServicesConfiguration: Sendable {
    package var policy: Policy
    package var calendar: BusinessCalendar
    package var clock: WallClock
    /// The least time between two computations of the ranking.
    package var rankingRefresh: Duration = .seconds(1)
    /// The interval of the regular recovery, which runs also where neither a start nor a reconnect calls for one.
    package var recoveryInterval: Duration = .seconds(10)
    /// How long after its end a campaign keeps its gate in Redis.
    package var archiveAfter: Duration = .seconds(86_400)
    /// How long a delivered event is kept in the store, see ``Retention``.
    package var keepEvents: Duration = .seconds(90 * 86_400)
    /// How long a value in an event loop's cache is valid, see ``CacheLease``. A second is what `Retry-After` makes clients wait; it is
    /// much longer than the time between two claims of a campaign, even among thousands of campaigns. With zero each claim goes to Redis.
    package var cacheLease: Duration = .seconds(1)
    /// Where events are posted; `nil` appends them to the Redis stream instead.
    package var platform: DataPlatform?
    /// The private Redis, which is started again when it ends; `nil` where the Redis is not private.
    package var privateRedis: PrivateRedis?

    package init(policy: Policy = Policy(), calendar: BusinessCalendar, clock: WallClock = .system) {
        (self.policy, self.calendar, self.clock) = (policy, calendar, clock)
    }
}
