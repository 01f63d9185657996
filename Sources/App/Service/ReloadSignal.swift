import Dispatch
import Glibc

/// Runs a closure on each SIGHUP, one run at a time. Signals that arrive during a run cause one more run after it.
///
/// A service without anything to reread does not make this object, unless a service manager has started it, whose `reload` must not end
/// it; SIGHUP then keeps its default action. It also does where the terminal that the service was started in is closed, which the system
/// reports by the same signal: then the service ends.
package final class ReloadSignal {
    private let source: any DispatchSourceSignal
    private let task: Task<Void, Never>

    package init(_ reload: @escaping @Sendable () async -> Void) {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        signal(SIGHUP, SIG_IGN)
        source = DispatchSource.makeSignalSource(signal: SIGHUP)
        let hadTerminal = Self.hasTerminal
        source.setEventHandler {
            guard hadTerminal, !Self.hasTerminal else {
                continuation.yield()
                return
            }
            signal(SIGHUP, SIG_DFL)
            kill(getpid(), SIGHUP)
        }
        source.resume()
        task = Task { for await _ in stream { await reload() } }
    }

    /// The signal of a service; nil where SIGHUP keeps its default action.
    package static func of(_ service: RunningService, _ supervision: Supervision?) -> ReloadSignal? {
        if let supervision { return ReloadSignal { await supervision.reload { await service.reload() } } }
        return service.isReloadable ? ReloadSignal { await service.reload() } : nil
    }

    /// Whether the process has a controlling terminal that is still open.
    private static var hasTerminal: Bool {
        let terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)
        guard terminal >= 0 else { return false }
        close(terminal)
        return true
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
