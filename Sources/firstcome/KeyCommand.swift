import API
import App
import ArgumentParser
import Commerce

/// `firstcome key`: replaces the key that signs the tokens of a data folder.
struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Replaces the key that signs the folder's tokens, or lists the keys.",
        subcommands: [Rotate.self, List.self])

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a new key; tokens of the former one stay valid for a time.",
            discussion: """
                `firstcome token` signs with the new key at once. A running service takes its tokens after it was sent SIGHUP; do that \
                before the new tokens are used. The former key is kept in a file that says until when its tokens are valid; removing the \
                file and sending SIGHUP ends them earlier.
                """)

        @OptionGroup var data: DataOption

        @Option(help: "How long tokens of the former key stay valid; 0s ends them with the next SIGHUP or start of the service.")
        var keep = DelayArgument(argument: "24h") ?? .none

        func run() async throws {
            let folder = try DataFolder.make(data.path)
            let now = WallClock.system.now
            let milliseconds = Int64(keep.duration / .milliseconds(1))
            let end = milliseconds > 0 ? now.advanced(byMilliseconds: milliseconds) : nil
            try TokenKey.rotate(inDataFolder: folder.path, keepUntil: end, at: now)
            try KeyCommand.list(folder, at: now)
            print("send SIGHUP to the running service: it takes tokens of the new key from then on")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the folder's keys: the present one, and former ones that verify still.")

        @OptionGroup var data: DataOption

        func run() async throws {
            try KeyCommand.list(try DataFolder.make(data.path), at: WallClock.system.now)
        }
    }

    private static func list(_ folder: DataFolder, at now: Instant) throws {
        for file in try TokenKey.files(inDataFolder: folder.path, at: now) {
            let use = file.endsAt.map { "verifies until \($0)" } ?? "signs and verifies"
            print("\(file.fingerprint)  \(use)  \(file.name)")
        }
    }
}
