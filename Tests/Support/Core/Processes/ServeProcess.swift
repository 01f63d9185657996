import Foundation
import Synchronization

/// A `firstcome serve` in a process of its own, which the kernel ends when this process ends before it.
package final class ServeProcess: Sendable {
    package let firstLine: String
    /// 0 where it listens on a unix socket.
    package let port: Int
    package let pid: Int32
    private let process: Mutex<Process>
    private let log: String

    private init(_ process: Process, firstLine: String, port: Int, log: String) {
        (self.firstLine, self.port, self.log, pid) = (firstLine, port, log, process.processIdentifier)
        self.process = Mutex(process)
    }

    /// Starts `serve` on a folder and waits for its first line.
    ///
    /// - Parameters:
    ///   - log: the file to which standard error is appended.
    ///   - wrapping: puts a command before the executable, one that becomes it with `exec`.
    package static func start(
        _ folder: String, _ arguments: [String] = ["--port", "0"], environment: [String: String] = [:], log: String? = nil,
        wrapping: ([String]) -> [String] = { $0 }
    ) async throws -> ServeProcess {
        let command = wrapping([try Tool.executable().path, "serve", "--data", folder] + arguments)
        let log = log ?? folder + "/serve.log"
        return try await offPool {
            if !FileManager.default.fileExists(atPath: log) { try Data().write(to: URL(fileURLWithPath: log)) }
            let errors = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
            defer { try? errors.close() }
            let start = try errors.seekToEnd()
            let output = Pipe()
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["setpriv", "--pdeathsig", "KILL", "--"] + command
            process.environment = Tool.environment(environment)
            (process.standardOutput, process.standardError) = (output, errors)
            try Spawner.run { try process.run() }
            var line = Data()
            while line.last != UInt8(ascii: "\n") {
                let more = output.fileHandleForReading.availableData
                if more.isEmpty { break }
                line += more
            }
            let text = String(decoding: line, as: UTF8.self).trimmingCharacters(in: .newlines)
            guard let match = text.firstMatch(of: #/^firstcome listens on (?:http://[^ ]+:(\d+)|unix:[^ ]+) /#),
                let port = Int(match.1 ?? "0")
            else {
                process.terminate()
                process.waitUntilExit()
                throw NotServing(printed: text, log: Self.text(of: log, from: start), status: process.terminationStatus)
            }
            return ServeProcess(process, firstLine: text, port: port, log: log)
        }
    }

    /// A service that ended before it listened.
    package struct NotServing: Error, CustomStringConvertible {
        package let printed: String
        package let log: String
        /// The exit status, or the signal that ended it.
        package let status: Int32

        package var description: String { "serve ended with \(status), printed \"\(printed)\" and logged:\n\(log)" }
    }

    package var standardError: String { Self.text(of: log, from: 0) }

    package var isRunning: Bool { process.withLock { $0.isRunning } }

    /// The signal that ended it; nil while it runs, and where it has exited.
    package var endingSignal: Int32? {
        process.withLock { !$0.isRunning && $0.terminationReason == .uncaughtSignal ? $0.terminationStatus : nil }
    }

    /// Sends a signal, if the process still runs.
    package func send(_ signal: Int32) {
        // A process that was waited for is another's by now.
        process.withLock { if $0.isRunning { kill(pid, signal) } }
    }

    /// Sends a signal and waits for the end; the exit status, or nil where a signal ended it.
    @discardableResult
    package func end(_ signal: Int32 = SIGTERM) async throws -> Int32? {
        send(signal)
        return try await wait()
    }

    /// Waits for the end; the exit status, or nil where a signal ended it.
    package func wait() async throws -> Int32? {
        try await eventually("the service has ended") { !isRunning }
        return process.withLock { $0.terminationReason == .exit ? $0.terminationStatus : nil }
    }

    private static func text(of path: String, from offset: UInt64) -> String {
        guard let file = FileHandle(forReadingAtPath: path) else { return "" }
        defer { try? file.close() }
        guard (try? file.seek(toOffset: offset)) != nil, let bytes = try? file.readToEnd() else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }
}
