package import Logging
package import NIOCore

/// Writes one JSON line for each request to a file or to standard output.
///
/// The loops copy what a line needs into chunks of bytes; one thread makes lines of them and writes. What the file does not take at
/// the moment waits in a bounded number of chunks. Beyond that requests are dropped from the log and counted, so a full disk or a
/// reader that does not read delays no request.
package final class AccessLog: Sendable {
    /// Where the lines go.
    package enum Destination: Sendable, Equatable {
        /// Appended to a file, which is made where it is missing; a FIFO needs a reader.
        case file(String)
        case standardOutput
    }

    private let queue: AccessLogQueue
    private let writer: AccessLogWriter
    private let loops: [ObjectIdentifier: AccessLogLoop]

    /// Opens the destination and starts the thread.
    ///
    /// - Parameters:
    ///   - routes: the templates that ``RequestNotes/route`` counts.
    ///   - logger: is told when the log cannot be written, and when it can again.
    /// - Throws: `AccessLogError` where the destination cannot be opened.
    package init(_ destination: Destination, routes: [String], eventLoopGroup: any EventLoopGroup, logger: Logger) throws {
        let queue = AccessLogQueue()
        self.queue = queue
        loops = Dictionary(
            uniqueKeysWithValues: eventLoopGroup.makeIterator().map { (ObjectIdentifier($0), AccessLogLoop(eventLoop: $0, queue: queue)) })
        writer = try AccessLogWriter(destination, routes: routes, queue: queue, logger: logger)
        writer.start()
    }

    /// The part of one event loop.
    func part(of eventLoop: any EventLoop) -> AccessLogLoop? { loops[ObjectIdentifier(eventLoop)] }

    /// Requests that are missing from the log since the start.
    package var dropped: Int { queue.dropped }

    /// Opens the file again under its name, after `logrotate` has renamed it. What is not written yet goes to the new file.
    ///
    /// - Throws: `AccessLogError` where the file cannot be opened; then the former one stays in use.
    package func reopen() throws { try writer.reopen() }

    /// Writes what the loops have, and ends the thread. A destination that takes nothing is given up after two seconds.
    ///
    /// Call it once no request is served any more, and before the loops end.
    package func close() async {
        for loop in loops.values { try? await loop.eventLoop.submit { loop.handOver() }.get() }  // Fails only where a loop has ended.
        await writer.close()
    }
}

/// Why the access log cannot be written.
package struct AccessLogError: Error, CustomStringConvertible {
    package let description: String
}
