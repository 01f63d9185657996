import App
import ArgumentParser
import Foundation
import Glibc
import Logging

/// The one executable of the project.
@main
struct Firstcome: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "firstcome",
        abstract: "First come, first served: coupons, balance, orders and the best sellers of three days.",
        discussion: """
            Every flag can also be set by an environment variable: --time-zone by FIRSTCOME_TIME_ZONE, and so on.

            Exit status: 0 when it did what it was asked, 1 when it could not (and for audit, when an invariant is broken), 64 when the \
            command line is wrong. An error is one line on standard error.
            """,
        version: "firstcome \(FirstcomeVersion.text)",
        subcommands: [
            Serve.self, Token.self, KeyCommand.self, Demo.self, AuditCommand.self, RankingCommand.self, Backup.self, Restore.self,
            Compact.self, Move.self, RedisStoreCommand.self, Verify.self,
        ]
    )

    static func main() async {
        // Set before any file is made: the files hold coupon codes, balances or keys, and the folder may be open to other accounts.
        umask(0o077)
        let given = CommandLine.arguments
        let secrets = CommandLineSecrets(in: given)
        secrets.hide()
        for warning in secrets.warnings { Logger.ofTools.warning("\(warning)") }
        let arguments = EnvironmentFlags.merged(into: Array(given.dropFirst()), environment: EnvironmentFlags.ofProcess)
        do {
            var command = try parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            end(with: error)
        }
    }

    /// Ends the process: with what was asked for, such as help, or with one line that says what is wrong.
    private static func end(with error: any Error) -> Never {
        let code = exitCode(for: error)
        if error is ExitCode || code == .success { exit(withError: error) }
        var line = CommandError.describing(error)?.description ?? message(for: error)
        // The parser's full message ends with the command whose help describes the flag. An error of a command that runs has no such end.
        if code == .validationFailure, !(error is ValidationError), let hint = fullMessage(for: error).firstMatch(of: /See '[^']+ --help'/)
        {
            line += line.hasSuffix(".") || line.hasSuffix("?") ? " \(hint.output)." : ". \(hint.output)."
        }
        line = line.split(whereSeparator: \.isNewline).joined(separator: " ")
        FileHandle.standardError.write(Data("Error: \(line)\n".utf8))
        Glibc.exit(code.rawValue)
    }
}
