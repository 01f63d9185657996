import Foundation
import Services
import Synchronization
import TestSupport

/// The built `firstcome`, which stands beside the test bundle.
enum Tool {
    struct Missing: Error, CustomStringConvertible {
        let description: String
    }

    struct Output: Sendable {
        let status: Int32
        let standardOutput: String
        let standardError: String

        var lines: [String] { standardOutput.split(separator: "\n").map(String.init) }
        /// What it complained about, without what it logged before.
        var complaint: [String] {
            standardError.split(separator: "\n").map(String.init).filter { $0.firstMatch(of: /^\d{4}-\d\d-\d\dT/) == nil }
        }
    }

    static func executable() throws -> URL {
        // The test bundle is the running program itself.
        let bundle = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let tool = URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("firstcome")
        guard FileManager.default.isExecutableFile(atPath: tool.path) else { throw Missing(description: "\(tool.path) is not built") }
        return tool
    }

    /// A clean environment: what the developer's shell sets must not reach the tool.
    static func environment(_ additions: [String: String]) -> [String: String] {
        ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin", "HOME": "/tmp"].merging(additions) { $1 }
    }

    /// Seconds after which a command is killed: one that should have been refused must fail its test, not hold it up.
    private static let deadline = 60.0

    /// Runs a command to its end.
    static func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> Output {
        try await offPool {
            let (process, output, errors) = (Process(), Pipe(), Pipe())
            process.executableURL = try executable()
            process.arguments = arguments
            process.environment = Self.environment(environment)
            (process.standardOutput, process.standardError) = (output, errors)
            try process.run()
            let pid = process.processIdentifier
            let timeout = DispatchWorkItem { kill(pid, SIGKILL) }
            DispatchQueue.global().asyncAfter(deadline: .now() + deadline, execute: timeout)
            // What a command complains of fits into the pipe's buffer; what it prints may not.
            let printed = output.fileHandleForReading.readDataToEndOfFile()
            let complained = errors.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            timeout.cancel()
            return Output(
                status: process.terminationStatus, standardOutput: String(decoding: printed, as: UTF8.self),
                standardError: String(decoding: complained, as: UTF8.self))
        }
    }

    static func run(_ arguments: String...) async throws -> Output { try await run(arguments) }
}

/// A `firstcome serve` in a process of its own.
final class ServeProcess: Sendable {
    let firstLine: String
    let port: Int
    let pid: Int32
    private let process: Mutex<Process>
    private let log: String

    private init(_ process: Process, firstLine: String, port: Int, log: String) {
        (self.firstLine, self.port, self.log, pid) = (firstLine, port, log, process.processIdentifier)
        self.process = Mutex(process)
    }

    /// Starts `serve` on a folder and waits for its first line.
    static func start(_ folder: String, _ arguments: [String] = ["--port", "0"], environment: [String: String] = [:]) async throws
        -> ServeProcess
    {
        try await offPool {
            let (process, output) = (Process(), Pipe())
            let log = folder + "/serve.log"
            try Data().write(to: URL(fileURLWithPath: log))
            process.executableURL = try Tool.executable()
            process.arguments = ["serve", "--data", folder] + arguments
            process.environment = Tool.environment(environment)
            process.standardOutput = output
            process.standardError = FileHandle(forWritingAtPath: log)
            try process.run()
            var line = Data()
            while line.last != UInt8(ascii: "\n") {
                let more = output.fileHandleForReading.availableData
                if more.isEmpty { break }
                line += more
            }
            let text = String(decoding: line, as: UTF8.self).trimmingCharacters(in: .newlines)
            guard let match = text.firstMatch(of: #/^firstcome listens on http://[^ ]+:(\d+) /#), let port = Int(match.1) else {
                process.terminate()
                process.waitUntilExit()
                throw Tool.Missing(description: "serve printed \(text) and \((try? String(contentsOfFile: log, encoding: .utf8)) ?? "")")
            }
            return ServeProcess(process, firstLine: text, port: port, log: log)
        }
    }

    var standardError: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

    /// Sends a signal and waits for the end; the exit status, or nil where the signal ended it.
    @discardableResult
    func end(_ signal: Int32 = SIGTERM) async throws -> Int32? {
        send(signal)
        return try await offPool {
            self.process.withLock { process in
                process.waitUntilExit()
                return process.terminationReason == .exit ? process.terminationStatus : nil
            }
        }
    }

    private func send(_ signal: Int32) {
        // A process that was waited for is another's by now.
        process.withLock { if $0.isRunning { kill(pid, signal) } }
    }
}

/// Runs `body` with a folder whose service, redis-server and files are gone afterwards, however `body` ends.
func withDataFolder(_ body: (String) async throws -> Void) async throws {
    let folder = TemporaryFolder()
    var failure: (any Error)?
    do {
        try await body(folder.path)
    } catch {
        failure = error
    }
    if let redis = try? PrivateRedis(dataFolder: folder.path) { await redis.stop() }
    folder.remove()
    if let failure { throw failure }
}

/// Runs `body` with a running `serve`, which is killed afterwards if it still runs.
func withServe(
    _ folder: String, _ arguments: [String] = ["--port", "0"], environment: [String: String] = [:],
    _ body: (ServeProcess) async throws -> Void
) async throws {
    let serve = try await ServeProcess.start(folder, arguments, environment: environment)
    do {
        try await body(serve)
        try await serve.end(SIGKILL)
    } catch {
        _ = try? await serve.end(SIGKILL)
        throw error
    }
}
