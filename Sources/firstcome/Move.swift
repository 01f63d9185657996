import App
import ArgumentParser
import Commerce
import Logging

/// `firstcome move`: copies the store of a data folder to a PostgreSQL server.
struct Move: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Copies the store of a data folder, and its token keys, to an empty database of a PostgreSQL.",
        discussion: """
            The service must be stopped. The store is audited, copied in one transaction, compared row by row, and audited again in the \
            database; where anything fails before the end, the database stays empty. The folder keeps its store: from then on serve the \
            database alone, because both would claim the same coupons and count the same events.

            The Redis of the service can go on being used: the copy is the same store.
            """)

    @OptionGroup var data: DataOption
    @OptionGroup var store: StoreOption
    @OptionGroup var timeZone: TimeZoneOption

    func validate() throws {
        guard store.url != nil else { throw ValidationError("--store is missing: the database to which the store is copied") }
    }

    func run() async throws {
        guard let server = try store.server() else { throw ValidationError("--store is missing") }
        let folder = try DataFolder.existing(data.path)
        let lock = try folder.lock()
        defer { withExtendedLifetime(lock) {} }
        let progress = TerminalProgress()
        let report: StoreMove.Report
        do {
            defer { progress.end() }
            report = try await StoreMove.run(
                from: folder, to: server, calendar: try timeZone.calendar(), now: WallClock.system.now, logger: .ofTools
            ) { progress.show($0) }
        }
        for (table, rows) in report.tables where rows > 0 { print("\(table): \(rows) rows") }
        print(
            """
            copied \(report.rows) rows and the token keys to \(StorePlace.server(server).description); every row is equal, and the \
            \(report.rules) rules of the audit hold in both
            the folder \(data.path) keeps its store; do not serve that one again
            """)
    }
}
