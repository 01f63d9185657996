import App
import ArgumentParser
import Commerce
import Services

/// `firstcome audit`: checks every invariant over store and Redis.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Checks every invariant over store and Redis, beside a running service or without one.",
        discussion: """
            Prints each check with the number of rows it looked at: ok, BROKEN, missing where Redis holds nothing of what the store has, or \
            no rows where the store has none either. Exits with 1 when a check is broken or missing.

            The Redis has to be the one that serves the store: without --redis, the private one of the folder, and a folder whose service \
            used another one is refused. A Redis that serves another store, or the store as it was before a restore, is refused too.
            """)

    @OptionGroup var data: DataOption
    @OptionGroup var redis: RedisOption
    @OptionGroup var timeZone: TimeZoneOption

    @Flag(help: "Prints one JSON object instead of a table.")
    var json = false

    func run() async throws {
        let report = try await Workbench.use(data: data, redis: redis, timeZone: timeZone) { bench in
            let progress = TerminalProgress()
            defer { progress.end() }
            let audit = Audit(store: bench.store, redis: bench.redis, calendar: bench.calendar, clock: .system)
            return try await audit.run { progress.show("checking \($0)") }
        }
        print(json ? report.json : report.table)
        if !report.isClean { throw ExitCode(1) }
    }
}
