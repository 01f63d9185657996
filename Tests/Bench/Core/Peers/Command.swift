import Foundation
import TestSupport

/// Runs programs to their end.
enum Command {
    /// Runs a program and returns what it printed on standard output. Cancelling the task kills it.
    ///
    /// - Parameter file: is overwritten with the output instead, for programs that print much.
    /// - Throws: an error with the program's standard error, where it fails.
    @discardableResult
    static func run(_ words: [String], user: String? = nil, into file: String? = nil) async throws -> String {
        if let file { try Data().write(to: URL(fileURLWithPath: file)) }
        let run = try await ChildProcess.run(words, user: user, output: file.map { .file($0) } ?? .collected)
        guard run.status == 0 else {
            throw BenchFailure("\(words.joined(separator: " ")) ended with \(run.status): \(run.standardError)")
        }
        return run.standardOutput
    }
}
