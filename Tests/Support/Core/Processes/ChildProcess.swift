import Foundation
import Subprocess
import Synchronization

/// A program in a process of its own, which the kernel ends when this process ends before it.
package final class ChildProcess: Sendable {
    /// The program's own process id: the command before it replaces itself with it by `exec`.
    package let pid: Int32
    private let words: [String]
    private let record: Record
    private let task: Task<Void, Never>

    /// Where the program's output goes.
    package enum Destination: Sendable {
        case discarded
        /// Into memory.
        case collected
        /// Appended to the file.
        case file(String)

        fileprivate var path: String? {
            switch self {
            case .discarded: "/dev/null"
            case .collected: nil
            case .file(let path): path
            }
        }
    }

    /// How a process ended.
    package enum Ending: Sendable, Hashable {
        case exited(Int32)
        case signaled(Int32)

        /// The exit status, or the number of the signal.
        package var number: Int32 {
            switch self {
            case .exited(let status): status
            case .signaled(let signal): signal
            }
        }
    }

    private init(pid: Int32, words: [String], record: Record, task: Task<Void, Never>) {
        (self.pid, self.words, self.record, self.task) = (pid, words, record, task)
    }

    /// Starts a program, found by `PATH`; one that is missing exits with 127.
    ///
    /// - Parameters:
    ///   - user: the user that the program runs as; nil for the present one.
    ///   - environment: the program's variables besides `PATH` and `HOME`; it inherits no others.
    package static func start(
        _ words: [String], user: String? = nil, environment: [String: String] = [:], output: Destination = .discarded,
        errors: Destination = .discarded
    ) async throws -> ChildProcess {
        // Files are opened with the rights of this process, then `setpriv` replaces itself with the program. For PR_SET_PDEATHSIG
        // (prctl(2)) the parent is the thread that started it: Subprocess starts all from one thread, which never ends.
        let rights = user.map { ["--reuid", $0, "--regid", $0, "--init-groups"] } ?? []
        let redirections = (output.path == nil ? "" : #" >>"$output""#) + (errors.path == nil ? "" : #" 2>>"$errors""#)
        let arguments =
            ["-c", #"output=$1 errors=$2; shift 2; exec "$@""# + redirections, "sh", output.path ?? "", errors.path ?? "", "setpriv"]
            + rights + ["--pdeathsig", "KILL", "--"] + words
        let variables = Tool.environment(environment).map { (Environment.Key(stringLiteral: $0.key), $0.value) }
        let record = Record()
        let (starts, start) = AsyncThrowingStream<Int32, any Error>.makeStream()
        // Detached: the process does not end with the task that starts it.
        let task = Task.detached {
            do {
                let result = try await Subprocess.run(
                    .name("sh"), arguments: Arguments(arguments),
                    environment: .custom(Dictionary(variables) { $1 }), input: .none, output: .sequence, error: .sequence
                ) { execution in
                    start.yield(execution.processIdentifier.value)
                    async let errors: Void = record.collect(execution.standardError) { $0.errors += $1 }
                    try await record.collect(execution.standardOutput) { $0.output += $1 }
                    try await errors
                }
                record.end(Ending(result.terminationStatus))
                start.finish()
            } catch {
                record.end(.exited(-1))
                start.finish(throwing: error)
            }
        }
        for try await pid in starts { return ChildProcess(pid: pid, words: words, record: record, task: task) }
        throw Tool.Missing(description: "\(words.joined(separator: " ")) was not started")
    }

    /// Runs a program to its end. A cancelled task kills it.
    ///
    /// - Parameter deadline: the time after which it is killed; nil for no limit.
    package static func run(
        _ words: [String], user: String? = nil, environment: [String: String] = [:], output: Destination = .collected,
        errors: Destination = .collected, deadline: Duration? = nil
    ) async throws -> Tool.Output {
        let child = try await start(words, user: user, environment: environment, output: output, errors: errors)
        let timeout = deadline.map { deadline in
            Task {
                try await Task.sleep(for: deadline)
                child.send(SIGKILL)
            }
        }
        defer { timeout?.cancel() }
        let ending = await withTaskCancellationHandler {
            await child.wait()
        } onCancel: {
            child.send(SIGKILL)
        }
        try Task.checkCancellation()
        return Tool.Output(status: ending.number, standardOutput: child.output, standardError: child.errors)
    }

    package var isRunning: Bool { ending == nil }

    /// How it ended; nil while it runs.
    package var ending: Ending? { record.state.withLock { $0.ending } }

    /// What it has printed so far, where the output is collected.
    package var output: String { String(decoding: record.state.withLock { $0.output }, as: UTF8.self) }
    package var errors: String { String(decoding: record.state.withLock { $0.errors }, as: UTF8.self) }

    /// Sends a signal, if the process still runs.
    package func send(_ signal: Int32) {
        // After a wait, the process id may belong to another process.
        record.state.withLock { if $0.ending == nil { kill(pid, signal) } }
    }

    /// Waits for the end of the process and of its output.
    @discardableResult
    package func wait() async -> Ending {
        await task.value
        return ending ?? .exited(-1)
    }

    /// How long a program may take to end by itself.
    private static let patience: Duration = .seconds(15)

    /// Ends the program, by SIGKILL if it does not end in time, and waits for it.
    package func end(_ signal: Int32 = SIGTERM) async {
        send(signal)
        do {
            try await eventually("\(words[0]) has ended", within: Self.patience) { !isRunning }
        } catch {
            send(SIGKILL)
            await wait()
        }
    }
}

/// The present state of a process.
private final class Record: Sendable {
    struct State {
        var output: [UInt8] = []
        var errors: [UInt8] = []
        var ending: ChildProcess.Ending?
    }

    let state = Mutex(State())

    func end(_ ending: ChildProcess.Ending) { state.withLock { $0.ending = ending } }

    func collect(_ sequence: SubprocessOutputSequence, _ add: @Sendable (inout State, [UInt8]) -> Void) async throws {
        for try await buffer in sequence {
            let bytes = buffer.withUnsafeBytes { Array($0) }
            state.withLock { add(&$0, bytes) }
        }
    }
}

extension ChildProcess.Ending {
    fileprivate init(_ status: TerminationStatus) {
        switch status {
        case .exited(let code): self = .exited(code)
        case .signaled(let signal): self = .signaled(signal)
        }
    }
}
