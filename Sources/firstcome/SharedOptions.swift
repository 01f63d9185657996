import App
import ArgumentParser
import Commerce
import Logging

/// The option `--data`.
struct DataOption: ParsableArguments {
    private static let standard = "./data"

    @Option(name: .customLong("data"), help: "The data folder.", completion: .directory)
    var path = standard

    /// Whether a folder other than the standard one is named.
    var isGiven: Bool { path != Self.standard }
}

/// The option `--time-zone`.
struct TimeZoneOption: ParsableArguments {
    @Option(name: .customLong("time-zone"), help: "The IANA name of the time zone in which business days begin and end.")
    var identifier = "Asia/Seoul"

    func validate() throws { _ = try calendar() }

    func calendar() throws -> BusinessCalendar {
        guard let calendar = BusinessCalendar(timeZoneIdentifier: identifier) else {
            throw ValidationError("--time-zone \(identifier): there is no such time zone")
        }
        return calendar
    }

    /// The calendar of the default time zone, for commands without the option.
    static func standard() throws -> BusinessCalendar { try parse([]).calendar() }
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
        store: StoreOption, data: DataOption, redis: RedisOption, timeZone: TimeZoneOption, _ body: (Workbench) async throws -> Value
    ) async throws -> Value {
        try await use(
            try store.place(data: data), dataFolder: data.path, calendar: try timeZone.calendar(), redis: try redis.endpoint(),
            logger: .ofTools, body)
    }
}
