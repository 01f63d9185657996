import Dispatch
import Foundation
import Logging
import NIOCore
import Synchronization

/// The thread that makes lines of the loops' records and writes them.
///
/// It alone may wait for a disk or a reader. What could not be written is tried again once per second; meanwhile the queue fills up
/// and the loops drop what does not fit.
///
/// Safety of `@unchecked Sendable`: `file`, `lines` and the variables about failures are the thread's own. Others talk to it by
/// `requests`, which a mutex guards.
final class AccessLogWriter: @unchecked Sendable {
    private struct Requests {
        /// A file that was opened in place of the present one.
        var replacement: AccessLogFile?
        /// When the thread gives up what it could not write; nil while the service runs.
        var deadline: ContinuousClock.Instant?
    }

    private let destination: AccessLog.Destination
    private let queue: AccessLogQueue
    private let logger: Logger
    private let requests = Mutex(Requests())
    private let thread = DispatchGroup()

    private var file: AccessLogFile
    private var lines: AccessLogLines
    private var reportedDrops = 0
    /// Lines, of the last ones made, that were given up.
    private var unwrittenLines = 0
    /// Why the last write failed, until one succeeds.
    private var failure: String?

    /// How long the end of the service may wait for a destination that takes nothing.
    private static let longestEnd = Duration.seconds(2)
    /// How long the thread waits for a pipe's reader before it looks at its requests.
    private static let pollMilliseconds: Int32 = 100
    /// How long a reader may take nothing before the log says so.
    private static let pollsBeforeWarning = 20

    init(_ destination: AccessLog.Destination, routes: [String], queue: AccessLogQueue, logger: Logger) throws {
        (self.destination, self.queue, self.logger) = (destination, queue, logger)
        file = try AccessLogFile(destination)
        lines = AccessLogLines(routes: routes)
    }

    func start() {
        thread.enter()
        let worker = Thread { [self] in
            run()
            thread.leave()
        }
        worker.name = "access-log"
        worker.start()
    }

    /// Opens the file again under its name; the thread writes everything that follows to it.
    func reopen() throws {
        guard case .file = destination else { return }
        let replacement = try AccessLogFile(destination)
        requests.withLock { $0.replacement = replacement }
        queue.wake()
    }

    /// Ends the thread after it has written what waits, or when it must give up.
    func close() async {
        requests.withLock { $0.deadline = .now + Self.longestEnd }
        queue.end()
        await withCheckedContinuation { continuation in
            thread.notify(queue: .global()) { continuation.resume() }
        }
    }

    private func run() {
        while true {
            let (chunks, isEnding) = queue.takeFull()
            replaceFile()
            for chunk in chunks {
                let dropped = queue.dropped
                if dropped > reportedDrops {
                    lines.append(dropped: dropped - reportedDrops)
                    if write() { reportedDrops = dropped }
                }
                lines.append(chunk)
                queue.giveBack(chunk)
                if !write() { queue.drop(unwrittenLines) }
            }
            guard chunks.isEmpty else { continue }
            if isEnding { break }
            queue.wait()
        }
    }

    /// Returns whether another file is used from now on.
    @discardableResult
    private func replaceFile() -> Bool {
        guard let replacement = requests.withLock({ $0.replacement.take() }) else { return false }
        file = replacement
        return true
    }

    private var mustGiveUp: Bool {
        requests.withLock { $0.deadline.map { ContinuousClock.now >= $0 } ?? false }
    }

    /// Writes the lines that were made. Returns false where it had to give up; ``unwrittenLines`` then says how many are missing.
    private func write() -> Bool {
        defer { lines.removeAll() }
        return lines.text.withUnsafeReadableBytes { text in
            var (offset, polls) = (0, 0)
            while offset < text.count {
                // A line that is cut off at the end of the former file is written whole to the new one.
                if replaceFile() { offset = text[..<offset].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0 }
                switch file.write(UnsafeRawBufferPointer(rebasing: text[offset...]), pollMilliseconds: Self.pollMilliseconds) {
                case .written(let count):
                    offset += count
                    polls = 0
                    noteSuccess()
                case .blocked:
                    polls += 1
                    if polls == Self.pollsBeforeWarning { noteFailure("its reader does not read") }
                    if mustGiveUp { return giveUp(text[offset...]) }
                case .failed(let reason):
                    noteFailure(reason)
                    if mustGiveUp { return giveUp(text[offset...]) }
                    queue.wait(atMost: requests.withLock { $0.deadline != nil } ? 0.1 : 1)
                }
            }
            return true
        }
    }

    private func giveUp(_ rest: Slice<UnsafeRawBufferPointer>) -> Bool {
        unwrittenLines = rest.count { $0 == UInt8(ascii: "\n") }
        return false
    }

    private func noteFailure(_ reason: String) {
        guard failure == nil else { return }
        failure = reason
        logger.error("the access log cannot be written, trying again until it can", metadata: ["error": "\(reason)"])
    }

    private func noteSuccess() {
        guard let reason = failure.take() else { return }
        logger.notice("the access log is written again", metadata: ["after": "\(reason)", "dropped": "\(queue.dropped)"])
    }
}
