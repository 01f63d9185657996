import App
import ArgumentParser
import Foundation
import Store

/// `firstcome restore`: puts a backup in the place of the store.
struct Restore: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Puts a backup in the place of the store. The service must be stopped.",
        discussion: """
            The file is checked first, and the store stays as it is where the file is damaged, is no store or was written by a newer version. \
            The former store is kept beside it under another name. A crash at any moment leaves the former store or the restored one, whole.

            The restored store begins a new incarnation: its events get ids that were never given before, and no Redis that served the store \
            before is believed. A private Redis is rebuilt at the next start; a given one has to be told with `firstcome redis take`.
            """)

    @OptionGroup var data: DataOption

    @Argument(help: "A file that `firstcome backup` made.")
    var file: String

    func run() async throws {
        guard FileManager.default.fileExists(atPath: file) else { throw CommandError("there is no file \(file)") }
        let folder = try DataFolder.make(data.path)
        let lock = try folder.lock()
        defer { withExtendedLifetime(lock) {} }
        print(try StoreRestore.run(file: file, to: folder.storePath).text(of: file, in: folder))
    }
}
