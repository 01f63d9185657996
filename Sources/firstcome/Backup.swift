import App
import ArgumentParser
import Foundation
import Logging
import Store

/// `firstcome backup`: copies the store while it serves.
struct Backup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes a consistent copy of the store, also while it serves.",
        discussion: "For a store in a data folder. One on PostgreSQL is copied by pg_basebackup or pg_dump.")

    @OptionGroup var data: DataOption
    @OptionGroup var store: StoreOption

    @Argument(help: "The file to make; it must not exist.", completion: .file())
    var file: String

    func validate() throws { try store.validateAlone(without: data) }

    func run() async throws {
        guard store.url == nil else {
            throw CommandError(
                """
                a store on PostgreSQL is copied by PostgreSQL's own tools: pg_basebackup for the whole server with its log, which can be \
                restored to any instant, or pg_dump for the database alone
                """)
        }
        let folder = try DataFolder.existing(data.path)
        guard !FileManager.default.fileExists(atPath: file) else { throw CommandError("\(file) exists already; name a new file") }
        let target = URL(fileURLWithPath: file).deletingLastPathComponent().path
        guard FileManager.default.isWritableFile(atPath: target) else {
            throw CommandError("\(file) cannot be made: there is no folder \(target) in which this account may write")
        }
        let opened = try folder.openStoreForReading(calendar: try TimeZoneOption.standard(), logger: Logger(label: "firstcome"))
        defer { opened.close() }
        try await opened.backup(to: file)
        print("copied the store to \(file)")
    }
}
