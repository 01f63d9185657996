import Foundation

/// A `firstcome serve` in a process of its own, which the kernel ends when this process ends before it.
package final class ServeProcess: Sendable {
    package let firstLine: String
    /// 0 where it listens on a unix socket.
    package let port: Int
    private let process: ChildProcess
    private let log: String

    private init(_ process: ChildProcess, firstLine: String, port: Int, log: String) {
        (self.process, self.firstLine, self.port, self.log) = (process, firstLine, port, log)
    }

    /// Starts `serve` on a folder and waits for its first line.
    ///
    /// - Parameters:
    ///   - log: the file to which standard error is appended.
    ///   - executable: the path of another build of `firstcome`; nil for the built one.
    ///   - wrapping: puts a command before the executable that replaces itself with it by `exec`.
    package static func start(
        _ folder: String, _ arguments: [String] = ["--port", "0"], environment: [String: String] = [:], log: String? = nil,
        executable: String? = nil, wrapping: ([String]) -> [String] = { $0 }
    ) async throws -> ServeProcess {
        // A service whose store and Redis are both on servers takes no folder.
        let needsFolder = !(arguments.contains("--store") && arguments.contains("--redis"))
        let command = wrapping([try executable ?? Tool.executable().path, "serve"] + (needsFolder ? ["--data", folder] : []) + arguments)
        let log = log ?? folder + "/serve.log"
        let logged = (try? FileManager.default.attributesOfItem(atPath: log)[.size] as? NSNumber)?.uint64Value ?? 0
        let process = try await ChildProcess.start(command, environment: environment, output: .collected, errors: .file(log))
        do {
            try await eventually("serve has printed a line") { process.output.contains("\n") || !process.isRunning }
        } catch {
            await process.end(SIGKILL)
            throw error
        }
        let line = String(process.output.prefix { !$0.isNewline })
        guard let match = line.firstMatch(of: #/^firstcome listens on (?:https?://[^ ]+:(\d+)|unix:[^ ]+) /#),
            let port = Int(match.1 ?? "0")
        else {
            await process.end()
            let status = process.ending?.number ?? -1
            throw NotServing(printed: line, log: Self.text(of: log, from: logged), status: status)
        }
        return ServeProcess(process, firstLine: line, port: port, log: log)
    }

    /// A service that ended before it listened.
    package struct NotServing: Error, CustomStringConvertible {
        package let printed: String
        package let log: String
        /// The exit status, or the signal that ended it.
        package let status: Int32

        package var description: String { "serve ended with \(status), printed \"\(printed)\" and logged:\n\(log)" }
    }

    /// What it has printed, the first line included.
    package var standardOutput: String { process.output }

    package var standardError: String { Self.text(of: log, from: 0) }

    package var pid: Int32 { process.pid }

    package var isRunning: Bool { process.isRunning }

    /// The signal that ended it; nil while it runs, and where it has exited.
    package var endingSignal: Int32? {
        if case .signaled(let signal) = process.ending { signal } else { nil }
    }

    /// Sends a signal, if the process still runs.
    package func send(_ signal: Int32) { process.send(signal) }

    /// Sends a signal and waits for the end; the exit status, or nil where a signal ended it.
    @discardableResult
    package func end(_ signal: Int32 = SIGTERM) async throws -> Int32? {
        send(signal)
        return try await wait()
    }

    /// Waits for the end; the exit status, or nil where a signal ended it.
    package func wait() async throws -> Int32? {
        try await eventually("the service has ended") { !isRunning }
        return if case .exited(let status) = process.ending { status } else { nil }
    }

    private static func text(of path: String, from offset: UInt64) -> String {
        guard let file = FileHandle(forReadingAtPath: path) else { return "" }
        defer { try? file.close() }
        guard (try? file.seek(toOffset: offset)) != nil, let bytes = try? file.readToEnd() else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }
}
