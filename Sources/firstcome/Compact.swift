import App
import ArgumentParser

/// `firstcome compact`: makes the store's file as small as what it holds.
struct Compact: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Gives the room of removed rows back to the disk. The service must not be running on the folder.",
        discussion: """
            The service removes old events and answers by itself, and uses their room again for new rows; the file stays as large as it was. This \
            command writes the file anew. It needs as much free room on the disk as the store takes, and about ten seconds for each gigabyte.
            """)

    @OptionGroup var data: DataOption

    func run() async throws {
        let folder = try DataFolder.existing(data.path)
        let lock = try folder.lock()
        defer { withExtendedLifetime(lock) {} }
        let sizes = try folder.compactStore(calendar: try TimeZoneOption.standard())
        print("the store took \(sizes.before) bytes and takes \(sizes.after) now")
    }
}
