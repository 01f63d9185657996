import App
import ArgumentParser
import Commerce
import Services

/// `firstcome audit`: checks every invariant over store and Redis.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Checks every invariant over store and Redis; the service may run or not.",
        discussion: """
            Prints each check with the number of rows it looked at, and its verdict: ok, BROKEN, missing (the store has rows and Redis has \
            nothing of them), or no rows. Exits with 1 when a check is broken or missing.

            Without --redis, the private Redis of the folder is checked; if the folder's service used another Redis, the command fails and \
            names it. It also fails where the Redis serves another store, or this store before a restore.
            """)

    @OptionGroup var data: DataOption
    @OptionGroup var store: StoreOption
    @OptionGroup var redis: RedisOption
    @OptionGroup var timeZone: TimeZoneOption

    @Flag(help: "Prints one JSON object instead of a table.")
    var json = false

    func validate() throws { try store.validate(with: redis, data: data) }

    func run() async throws {
        let report = try await Workbench.use(store: store, data: data, redis: redis, timeZone: timeZone) { bench in
            let progress = TerminalProgress()
            defer { progress.end() }
            let audit = Audit(store: bench.store, redis: bench.redis, calendar: bench.calendar, clock: .system)
            return try await audit.run { progress.show("checking \($0)") }
        }
        print(json ? report.json : report.table)
        if !report.isClean { throw ExitCode(1) }
    }
}
