import Dispatch
import Glibc

/// SIGTERM or SIGINT, waited for instead of died from. A second one, while the service drains, ends the process at once.
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
        // A client that hangs up while it is written to is an error of that write, not of the process.
        signal(SIGPIPE, SIG_IGN)
    }

    package func wait() async {
        for await _ in stream { return }
    }
}
