import App
import ArgumentParser
import Commerce
import Logging
import Redis

/// The option `--data`.
struct DataOption: ParsableArguments {
    @Option(name: .customLong("data"), help: "The data folder.")
    var path = "./data"
}

/// The option `--time-zone`.
struct TimeZoneOption: ParsableArguments {
    @Option(name: .customLong("time-zone"), help: "The IANA name of the time zone in which business days begin and end.")
    var identifier = "Asia/Seoul"

    func calendar() throws -> BusinessCalendar {
        guard let calendar = BusinessCalendar(timeZoneIdentifier: identifier) else {
            throw ValidationError("--time-zone \(identifier): there is no such time zone")
        }
        return calendar
    }

    /// The calendar of the default time zone, for commands without the option.
    static func standard() throws -> BusinessCalendar { try parse([]).calendar() }
}

/// The option `--redis`.
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

extension Logger {
    /// The logger of commands that print a result: warnings and errors only, to standard error.
    static var ofTools: Logger {
        var logger = Logger(label: "firstcome", factory: StreamLogHandler.standardError(label:))
        logger.logLevel = .warning
        return logger
    }
}

extension Workbench {
    /// Opens the store and the Redis that the options name.
    static func use<Value>(
        data: DataOption, redis: RedisOption, timeZone: TimeZoneOption, _ body: (Workbench) async throws -> Value
    ) async throws -> Value {
        try await use(
            try DataFolder.existing(data.path), calendar: try timeZone.calendar(), redis: try redis.endpoint(), logger: .ofTools, body)
    }
}
