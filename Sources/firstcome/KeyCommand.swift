import API
import App
import ArgumentParser
import Commerce
import PostgresStore

/// `firstcome key`: replaces the key that signs the tokens of a data folder, or of a store on a server.
struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Replaces the key that signs a service's own tokens, or lists the keys.",
        subcommands: [Rotate.self, List.self])

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a new key; tokens of the former one stay valid for a time.",
            discussion: """
                `firstcome token` signs with the new key at once. A running service takes its tokens after it was sent SIGHUP; do that \
                before the new tokens are used. The former key of a data folder is kept in a file that says until when its tokens are \
                valid; removing the file and sending SIGHUP ends them earlier. With --store the keys are in the store, and every service \
                on it has to be sent SIGHUP.
                """)

        @OptionGroup var data: DataOption
        @OptionGroup var store: StoreOption

        @Option(help: "How long tokens of the former key stay valid; 0s ends them with the next SIGHUP or start of the service.")
        var keep = DelayArgument(argument: "24h") ?? .none

        func validate() throws { try store.validateAlone(without: data) }

        func run() async throws {
            let now = WallClock.system.now
            let milliseconds = Int64(keep.duration / .milliseconds(1))
            let end = milliseconds > 0 ? now.advanced(byMilliseconds: milliseconds) : nil
            if let server = try store.server() {
                let keys = ServerTokenKeys(PostgresTokenKeys(server))
                try keys.rotate(keepUntil: end, at: now)
                try KeyCommand.list(keys, at: now)
                print("send SIGHUP to every running service of the store: each takes tokens of the new key from then on")
            } else {
                let folder = try DataFolder.make(data.path)
                try TokenKey.rotate(inDataFolder: folder.path, keepUntil: end, at: now)
                try KeyCommand.list(folder, at: now)
                print("send SIGHUP to the running service: it takes tokens of the new key from then on")
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the keys of the folder or of the store: the present one, and former ones that verify still.")

        @OptionGroup var data: DataOption
        @OptionGroup var store: StoreOption

        func validate() throws { try store.validateAlone(without: data) }

        func run() async throws {
            let now = WallClock.system.now
            if let server = try store.server() {
                try KeyCommand.list(ServerTokenKeys(PostgresTokenKeys(server)), at: now)
            } else {
                try KeyCommand.list(try DataFolder.make(data.path), at: now)
            }
        }
    }

    private static func list(_ folder: DataFolder, at now: Instant) throws {
        for file in try TokenKey.files(inDataFolder: folder.path, at: now) {
            print("\(file.fingerprint)  \(use(until: file.endsAt))  \(file.name)")
        }
    }

    private static func list(_ keys: ServerTokenKeys, at now: Instant) throws {
        for key in try keys.keys(at: now) { print("\(key.key.fingerprint)  \(use(until: key.endsAt))") }
    }

    private static func use(until end: Instant?) -> String { end.map { "verifies until \($0)" } ?? "signs and verifies" }
}
