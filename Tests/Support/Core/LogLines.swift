package import Logging
import Synchronization

/// Collects log lines, guarded by a mutex.
package final class LogLines: Sendable {
    private let lines = Mutex<[(level: Logger.Level, message: String, metadata: String)]>([])

    package init() {}

    /// Each line as text: its level, its message and its metadata.
    package var all: [String] { lines.withLock { $0.map { "\($0.level) \($0.message) \($0.metadata)" } } }

    package var messages: [String] { lines.withLock { $0.map(\.message) } }

    /// The messages of one level.
    package func at(_ level: Logger.Level) -> [String] {
        lines.withLock { $0.filter { $0.level == level }.map(\.message) }
    }

    /// A logger that writes to this collection.
    package func logger(level: Logger.Level = .debug) -> Logger {
        Logger(label: "test") { _ in Handler(lines: self, logLevel: level) }
    }

    private func append(_ event: LogEvent) {
        lines.withLock { $0.append((event.level, "\(event.message)", "\(event.metadata ?? [:])")) }
    }

    private struct Handler: LogHandler {
        let lines: LogLines
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { lines.append(event) }
    }
}
