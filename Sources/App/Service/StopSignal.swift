import Dispatch
import Glibc

/// Waits for SIGTERM or SIGINT. A second signal, while the service drains, ends the process at once.
package final class StopSignal {
    private let sources: [any DispatchSourceSignal]
    private let stream: AsyncStream<Void>

    package init() {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.stream = stream
        sources = [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler {
                signal(number, SIG_DFL)
                continuation.yield()
            }
            source.resume()
            return source
        }
        // Writing to a connection that the client has closed must fail with EPIPE, and not end the process.
        signal(SIGPIPE, SIG_IGN)
    }

    /// Returns after the first signal.
    package func wait() async {
        for await _ in stream { return }
    }
}
