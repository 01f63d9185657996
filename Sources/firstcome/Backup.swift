import App
import ArgumentParser
import Foundation
import Logging
import Store

/// `firstcome backup`: copies the store while it serves.
struct Backup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Makes a consistent copy of the store, also while it serves.")

    @OptionGroup var data: DataOption

    @Argument(help: "The file to make; it must not exist.", completion: .file())
    var file: String

    func run() async throws {
        let folder = try DataFolder.existing(data.path)
        guard !FileManager.default.fileExists(atPath: file) else { throw CommandError("\(file) exists already; name a new file") }
        let target = URL(fileURLWithPath: file).deletingLastPathComponent().path
        guard FileManager.default.isWritableFile(atPath: target) else {
            throw CommandError("\(file) cannot be made: there is no folder \(target) in which this account may write")
        }
        let store = try folder.openStoreForReading(calendar: try TimeZoneOption.standard(), logger: Logger(label: "firstcome"))
        defer { store.close() }
        try await store.backup(to: file)
        print("copied the store to \(file)")
    }
}
