import App
import ArgumentParser

/// `firstcome compact`: rewrites the store's file without the space of removed rows.
struct Compact: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Gives the space of removed rows back to the disk. The service must not be running on the folder.",
        discussion: """
            The service removes old events and answers by itself and uses their space for new rows, but the file does not shrink. This \
            command rewrites the file. It needs as much free space on the disk as the store takes, and about ten seconds for each gigabyte.
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
