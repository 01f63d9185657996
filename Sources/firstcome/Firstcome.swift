import App
import ArgumentParser
import Glibc

/// The one executable of the project.
@main
struct Firstcome: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "firstcome",
        abstract: "First come, first served: coupons, balance, orders and the best sellers of three days.",
        discussion: "Every flag can also be set by an environment variable: --time-zone by FIRSTCOME_TIME_ZONE, and so on.",
        subcommands: [
            Serve.self, Token.self, KeyCommand.self, Demo.self, AuditCommand.self, RankingCommand.self, Backup.self, Restore.self,
            Compact.self,
            RedisStoreCommand.self,
        ]
    )

    static func main() async {
        // Set before any file is made: the files hold coupon codes, balances or keys, and the folder may be open to other accounts.
        umask(0o077)
        let given = Array(CommandLine.arguments.dropFirst())
        let arguments = EnvironmentFlags.merged(into: given, environment: EnvironmentFlags.ofProcess)
        do {
            var command = try parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            exit(withError: readable(error))
        }
    }

    /// The one-line form of this package's errors. Errors of the argument parser stay as they are, because they print the usage.
    private static func readable(_ error: any Error) -> any Error {
        switch error {
        case let error as CommandError: error
        case is CleanExit, is ExitCode, is ValidationError: error
        default: CommandError.describing(error) ?? error
        }
    }
}
