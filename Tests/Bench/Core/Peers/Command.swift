import Foundation
import TestSupport

/// Runs programs to their end.
enum Command {
    /// Runs a program and returns what it printed on standard output. Cancelling the task kills it.
    ///
    /// - Throws: an error with the program's standard error, where it fails.
    @discardableResult
    static func run(_ words: [String], user: String? = nil, environment: [String: String] = [:], in folder: TemporaryFolder) async throws
        -> String
    {
        let pipe = Pipe()
        let complaints = folder.path + "/complaints-\(UInt32.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: complaints) }
        let child = try await ChildProcess.start(
            words, user: user, environment: environment, output: .pipe(pipe), errors: .file(complaints))
        let printed = try await finish(child) {
            try await offPool { String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) }
        }
        try await check(child, words, complaints)
        return printed
    }

    /// The same, with standard output in a file, for programs that print much.
    static func run(_ words: [String], into file: String, in folder: TemporaryFolder) async throws {
        let complaints = folder.path + "/complaints-\(UInt32.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: complaints) }
        let child = try await ChildProcess.start(words, output: .file(file), errors: .file(complaints))
        _ = try await finish(child) { await child.wait() }
        try await check(child, words, complaints)
    }

    private static func finish<Value: Sendable>(_ child: ChildProcess, _ body: () async throws -> Value) async throws -> Value {
        let value = try await withTaskCancellationHandler(operation: body) { child.send(SIGKILL) }
        try Task.checkCancellation()
        return value
    }

    private static func check(_ child: ChildProcess, _ words: [String], _ complaints: String) async throws {
        let status = await child.wait()
        guard status == 0 else {
            let said = (try? String(contentsOfFile: complaints, encoding: .utf8)) ?? ""
            throw BenchFailure("\(words.joined(separator: " ")) ended with \(status): \(said)")
        }
    }
}
