import App
import ArgumentParser
import Foundation
import Logging
import Store

/// `firstcome backup`: copies the store while it serves.
struct Backup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Makes a consistent copy of the store, also while it serves.")

    @OptionGroup var data: DataOption

    @Argument(help: "The file to make; it must not exist.")
    var file: String

    func run() async throws {
        let folder = try DataFolder.existing(data.path)
        guard !FileManager.default.fileExists(atPath: file) else { throw CommandError("\(file) exists already") }
        let store = try folder.openStoreForReading(calendar: try TimeZoneOption.standard(), logger: Logger(label: "firstcome"))
        defer { store.close() }
        try await store.backup(to: file)
        print("copied the store to \(file)")
    }
}
