import Foundation
import Synchronization
import TestSupport

/// A program in a process of its own, which the kernel ends when this process ends before it.
package final class ChildProcess: Sendable {
    /// The program's own process id: the command before it replaces itself by `exec`.
    package let pid: Int32
    private let process: Mutex<Process>
    private let words: [String]

    private init(_ process: Process, words: [String]) {
        (pid, self.words) = (process.processIdentifier, words)
        self.process = Mutex(process)
    }

    /// Where what the program prints goes.
    enum Output {
        case nowhere
        /// Into this file, which is overwritten.
        case file(String)
        case pipe(Pipe)
    }

    /// - Parameter user: the user that the program runs as; nil for the present one.
    static func start(
        _ words: [String], user: String? = nil, environment: [String: String] = [:], output: Output = .nowhere, errors: Output = .nowhere
    ) async throws -> ChildProcess {
        let rights = user.map { ["--reuid", $0, "--regid", $0, "--init-groups"] } ?? []
        let command = ["setpriv"] + rights + ["--pdeathsig", "KILL", "--"] + words
        let (output, errors) = (Handle(try open(output)), Handle(try open(errors)))
        return try await offPool {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = command
            process.environment = Tool.environment(environment)
            process.standardInput = FileHandle.nullDevice
            (process.standardOutput, process.standardError) = (output.value, errors.value)
            try Spawner.run { try process.run() }
            return ChildProcess(process, words: words)
        }
    }

    /// A file or a pipe that is passed to the thread that starts the process; used by one thread at a time.
    private struct Handle: @unchecked Sendable {
        let value: Any

        init(_ value: Any) { self.value = value }
    }

    private static func open(_ output: Output) throws -> Any {
        switch output {
        case .nowhere: return FileHandle.nullDevice
        case .pipe(let pipe): return pipe
        case .file(let path):
            try Data().write(to: URL(fileURLWithPath: path))
            return try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        }
    }

    package var isRunning: Bool { process.withLock { $0.isRunning } }

    func send(_ signal: Int32) {
        // After a wait, the process id may belong to another process.
        process.withLock { if $0.isRunning { kill(pid, signal) } }
    }

    /// How long a program may take to end by itself.
    private static let patience: Duration = .seconds(15)

    /// Ends the program, by SIGKILL if it does not end in time, and waits for it.
    func end(_ signal: Int32 = SIGTERM) async {
        send(signal)
        do {
            try await eventually("\(words[0]) has ended", within: Self.patience) { !isRunning }
        } catch {
            send(SIGKILL)
            process.withLock { $0 }.waitUntilExit()
        }
    }

    /// Waits for the end; returns the exit status, or the number of the signal that ended it.
    func wait() async -> Int32 {
        let process = Handle(process.withLock { $0 })
        let status = try? await offPool { () -> Int32 in
            guard let process = process.value as? Process else { return -1 }
            process.waitUntilExit()
            return process.terminationStatus
        }
        return status ?? -1
    }
}
