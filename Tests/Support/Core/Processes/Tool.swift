package import Foundation

/// The built `firstcome`, which is beside the test bundle.
package enum Tool {
    package struct Missing: Error, CustomStringConvertible {
        package let description: String

        package init(description: String) { self.description = description }
    }

    package struct Output: Sendable {
        package let status: Int32
        package let standardOutput: String
        package let standardError: String

        package var lines: [String] { standardOutput.split(separator: "\n").map(String.init) }
        /// The error message, without the log lines before it.
        package var complaint: [String] {
            standardError.split(separator: "\n").map(String.init).filter { $0.firstMatch(of: /^\d{4}-\d\d-\d\dT/) == nil }
        }
    }

    package static func executable() throws -> URL {
        // The running program is the test bundle.
        let bundle = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let tool = URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("firstcome")
        guard FileManager.default.isExecutableFile(atPath: tool.path) else { throw Missing(description: "\(tool.path) is not built") }
        return tool
    }

    /// A clean environment: what the developer's shell sets must not reach the tool.
    package static func environment(_ additions: [String: String]) -> [String: String] {
        ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin", "HOME": "/tmp"].merging(additions) { $1 }
    }

    /// The time after which a command is killed, so that one that should have ended fails its test instead of blocking it.
    private static let deadline: Duration = .seconds(300)

    /// Runs a command of the tool to its end.
    ///
    /// - Parameter wrapping: puts a command before the executable that replaces itself with it by `exec`.
    package static func run(
        _ arguments: [String], environment: [String: String] = [:], wrapping: ([String]) -> [String] = { $0 }
    ) async throws -> Output {
        try await run(program: wrapping([try executable().path] + arguments), environment: environment)
    }

    package static func run(_ arguments: String...) async throws -> Output { try await run(arguments) }

    /// Runs a program, found by `PATH`, to its end.
    package static func run(program: [String], environment: [String: String] = [:]) async throws -> Output {
        try await ChildProcess.run(program, environment: environment, deadline: deadline)
    }
}
