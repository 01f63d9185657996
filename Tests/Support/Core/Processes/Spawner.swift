import Foundation
import Synchronization

/// A thread that starts processes and never ends: the kernel takes the end of the starting thread for the parent's death
/// (`PR_SET_PDEATHSIG`, prctl(2)).
package enum Spawner {
    private static let jobs = Jobs()

    private final class Jobs: Sendable {
        private let waiting = Mutex<[@Sendable () -> Void]>([])
        private let count = DispatchSemaphore(value: 0)

        init() {
            let thread = Thread { [self] in
                // Threads of Swift's pool block every signal, their threads too, and a program keeps what it is started with: it
                // would never hear of SIGINT or SIGTERM.
                var none = sigset_t()
                sigemptyset(&none)
                pthread_sigmask(SIG_SETMASK, &none, nil)
                while true {
                    count.wait()
                    let job = waiting.withLock { $0.removeFirst() }
                    job()
                }
            }
            thread.name = "spawner"
            thread.start()
        }

        func add(_ job: @escaping @Sendable () -> Void) {
            waiting.withLock { $0.append(job) }
            count.signal()
        }
    }

    /// Runs the job on that thread and waits for it.
    package static func run(_ job: @escaping @Sendable () throws -> Void) throws {
        let outcome = Mutex<Result<Void, any Error>>(.success(()))
        let done = DispatchSemaphore(value: 0)
        jobs.add {
            let result = Result { try job() }
            outcome.withLock { $0 = result }
            done.signal()
        }
        done.wait()
        try outcome.withLock { try $0.get() }
    }
}
