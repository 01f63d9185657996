import Dispatch
import Glibc

/// Runs a closure on each SIGHUP, one run at a time. Signals that arrive during a run cause one more run after it.
///
/// A service without anything to reread does not make this object, unless a service manager has started it, whose `reload` must not end
/// it. SIGHUP then keeps its default action, so that a service in a terminal ends when the terminal is closed.
package final class ReloadSignal {
    private let source: any DispatchSourceSignal
    private let task: Task<Void, Never>

    package init(_ reload: @escaping @Sendable () async -> Void) {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        signal(SIGHUP, SIG_IGN)
        source = DispatchSource.makeSignalSource(signal: SIGHUP)
        source.setEventHandler { continuation.yield() }
        source.resume()
        task = Task { for await _ in stream { await reload() } }
    }

    /// The signal of a service; nil where SIGHUP keeps its default action.
    package static func of(_ service: RunningService, _ supervision: Supervision?) -> ReloadSignal? {
        if let supervision { return ReloadSignal { await supervision.reload { await service.reload() } } }
        return service.isReloadable ? ReloadSignal { await service.reload() } : nil
    }

    deinit {
        source.cancel()
        task.cancel()
    }
}

/// A part of a running service that can read its files again, such as a certificate or a set of keys.
package struct Reloadable: Sendable {
    /// What is read, for the log: "the certificate".
    let name: String
    /// Reads it. When this throws, what was read before stays in use.
    let reload: @Sendable () async throws -> Void

    package init(_ name: String, reload: @escaping @Sendable () async throws -> Void) {
        (self.name, self.reload) = (name, reload)
    }
}
