import Foundation
import TestSupport

/// Runs programs to their end.
enum Command {
    /// What the program printed on standard output.
    ///
    /// - Parameter file: takes that instead, where it is much; it is begun anew.
    /// - Throws: with what the program printed on standard error, where it fails. A cancelled task kills it.
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
