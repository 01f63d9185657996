package import NIOCore
import NIOPosix

/// A load over HTTP/1.1 at a fixed rate, whatever the server's answers take.
///
/// A latency is counted from the instant at which its request was due. While all connections wait for answers, requests that are
/// due wait in a queue, and this time counts: a server that stalls for half a second delays every request that is due meanwhile.
/// A closed loop, in which each connection sends when it has its answer, would measure one slow answer per connection instead, and
/// no delay for the others (*coordinated omission*).
package struct OpenLoop: Sendable {
    /// The server's port on 127.0.0.1.
    package var port: Int
    /// Whole requests as they go onto the wire, used in turn.
    package var requests: [ByteBuffer]
    /// Requests a second.
    package var rate: Double
    package var seconds: Double
    /// Each carries one request at a time.
    package var connections: Int
    /// How long answers may take after the last request was due; requests without an answer by then count as unanswered.
    package var patience: TimeAmount = .seconds(10)
    /// The least time between two wake-ups of the generator for due requests while a connection is free. A shorter one costs CPU that
    /// the server may need, a longer one adds to the latencies. Every answer also sends what is due.
    package var wakeInterval: TimeAmount = .microseconds(50)
    /// Answers to requests that were due in the first seconds are counted, but their latencies are not.
    package var warmUpSeconds: Double = 0

    package init(port: Int, requests: [ByteBuffer], rate: Double, seconds: Double, connections: Int) {
        precondition(!requests.isEmpty && rate > 0 && seconds > 0 && connections > 0, "requests, a rate, a time and connections are needed")
        (self.port, self.requests, self.rate, self.seconds, self.connections) = (port, requests, rate, seconds, connections)
    }

    /// Opens the connections, then sends for the given time and waits for the last answers, all on a thread of its own.
    ///
    /// - Throws: an error where a connection cannot be opened at the start. Later failures are counted.
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
