package import Commerce
package import HTTPServer
package import Redis
package import Services

/// What a service is started with.
package struct RunConfiguration: Sendable {
    /// The folder that exists and is locked.
    package var dataFolder: String
    package var http = HTTPServerConfiguration(host: "127.0.0.1", port: 8080)
    /// `nil` for a private Redis in the data folder.
    package var redis: RedisEndpoint?
    package var policy = Policy()
    package var calendar: BusinessCalendar
    package var clock = WallClock.system
    /// The number of a new store's first incarnation; nil for the present time.
    package var firstIncarnation: Int64?
    package var platform: DataPlatform?
    package var rankingRefresh: Duration = .seconds(1)
    package var recoveryInterval: Duration = .seconds(10)
    package var archiveAfter: Duration = .seconds(86_400)
    package var keepEvents: Duration = .seconds(90 * 86_400)
    /// How many event loops serve.
    package var loops = 1
    /// How long requests may take to finish when the service stops.
    package var drainDeadline: Duration = .seconds(10)

    package init(dataFolder: String, calendar: BusinessCalendar) {
        (self.dataFolder, self.calendar) = (dataFolder, calendar)
    }
}
