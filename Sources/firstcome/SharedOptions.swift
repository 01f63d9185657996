import ArgumentParser
import Commerce
import Redis
import Services
import Store

/// Where the data is.
struct DataOption: ParsableArguments {
    @Option(name: .customLong("data"), help: "The data folder.")
    var path = "./data"
}

/// The business time zone.
struct TimeZoneOption: ParsableArguments {
    @Option(name: .customLong("time-zone"), help: "The IANA name of the zone that decides what a business day is.")
    var identifier = "Asia/Seoul"

    func calendar() throws -> BusinessCalendar {
        guard let calendar = BusinessCalendar(timeZoneIdentifier: identifier) else {
            throw ValidationError("--time-zone \(identifier): there is no such time zone")
        }
        return calendar
    }
}

/// Which Redis.
struct RedisOption: ParsableArguments {
    @Option(
        name: .customLong("redis"),
        help: ArgumentHelp(
            "redis://[user:password@]host:port/db, rediss://... or unix:///path; without it, a private one in the data folder.",
            valueName: "url"))
    var url: String?

    /// `nil` for the private one.
    func endpoint() throws -> RedisEndpoint? {
        guard let url else { return nil }
        do {
            return try RedisEndpoint(url: url)
        } catch {
            throw ValidationError("--redis: \(error.message)")
        }
    }
}

extension StoreOptions {
    /// The options of a store whose events carry the message of the data platform.
    static func standard(policy: Policy = Policy(), calendar: BusinessCalendar) -> StoreOptions {
        StoreOptions(policy: policy, calendar: calendar, eventPayload: EventPayload.render)
    }
}
