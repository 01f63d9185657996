package import NIOCore
import NIOPosix

/// A load that comes at a fixed rate, however the server does, over HTTP/1.1.
///
/// A latency is counted from the instant at which its request was due. While all connections wait for answers, requests that are
/// due stand in line, and their time in it counts: a server that stalls for half a second is seen by everybody who came meanwhile.
/// A closed loop, in which each connection sends when it has its answer, sees one slow answer per connection instead and calls
/// the rest fast (*coordinated omission*).
package struct OpenLoop: Sendable {
    /// On 127.0.0.1.
    package var port: Int
    /// Whole requests as they go onto the wire, used in turn.
    package var requests: [ByteBuffer]
    /// Requests a second.
    package var rate: Double
    package var seconds: Double
    /// Each carries one request at a time.
    package var connections: Int
    /// How long answers may take after the last request was due; what is missing then counts as unanswered.
    package var patience: TimeAmount = .seconds(10)
    /// While a connection is free, the generator wakes for due requests, but no more often than this: less costs CPU that the server
    /// may need, more adds to the latencies. What is due meanwhile also leaves with every answer that comes.
    package var wakeInterval: TimeAmount = .microseconds(50)

    package init(port: Int, requests: [ByteBuffer], rate: Double, seconds: Double, connections: Int) {
        precondition(!requests.isEmpty && rate > 0 && seconds > 0 && connections > 0, "nothing to send, or nobody to send it")
        (self.port, self.requests, self.rate, self.seconds, self.connections) = (port, requests, rate, seconds, connections)
    }

    /// Opens the connections, then sends for the given time and waits for the last answers, all on one thread of its own.
    ///
    /// - Throws: where a connection cannot be opened at the start. Later failures are counted.
    package func run() async throws -> OpenLoopResult {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let result: Result<OpenLoopResult, any Error>
        do {
            result = .success(
                try await loop.flatSubmit {
                    let run = OpenLoopRun(self, on: loop)
                    run.begin()
                    return run.result
                }.get())
        } catch {
            result = .failure(error)
        }
        try await group.shutdownGracefully()
        return try result.get()
    }

    /// See ``run()``.
    package static func run(port: Int, requests: [ByteBuffer], rate: Double, seconds: Double, connections: Int) async throws
        -> OpenLoopResult
    {
        try await OpenLoop(port: port, requests: requests, rate: rate, seconds: seconds, connections: connections).run()
    }
}
