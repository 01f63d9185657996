import App
import ArgumentParser
import Foundation
import Store

/// `firstcome restore`: replaces the store by a backup.
struct Restore: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Replaces the store by a backup. The service must be stopped.",
        discussion: """
            The file is checked first: nothing changes where it is damaged, is no store or was written by a newer version. The former \
            store is kept beside the restored one under another name. After a crash at any moment, either the former store or the \
            restored one is there, complete.

            The restored store begins a new incarnation: its events get ids that were never given before, and a Redis that served the \
            former store is refused. A private Redis is rebuilt at the next start; another one has to be taken over by \
            `firstcome redis take`.
            """)

    @OptionGroup var data: DataOption

    @Argument(help: "A file that `firstcome backup` made.", completion: .file())
    var file: String

    func run() async throws {
        guard FileManager.default.fileExists(atPath: file) else { throw CommandError("there is no file \(file)") }
        let folder = try DataFolder.make(data.path)
        let lock = try folder.lock()
        defer { withExtendedLifetime(lock) {} }
        print(try StoreRestore.run(file: file, to: folder.storePath).text(of: file, in: folder))
    }
}
