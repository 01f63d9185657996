import Dispatch

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Runs blocking code on a thread of its own, so that it never blocks a thread of Swift's pool.
package func offPool<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        let box = Unmanaged.passRetained(ThreadBody { continuation.resume(with: Swift.Result { try body() }) })
        var thread = pthread_t()
        let failed = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            },
            box.toOpaque()
        )
        guard failed == 0 else {
            box.release()
            fatalError("no thread for a test: error \(failed)")
        }
        pthread_detach(thread)
    }
}

/// Runs the async code of a test on a thread of its own: on a machine with one core, a read that never suspends may keep Dispatch's
/// only thread, and with it Swift's pool.
package func besidePool<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
    try await Task(executorPreference: OwnThread(), operation: body).value
}

private final class OwnThread: TaskExecutor {
    // A serial queue gets a thread even when all others are busy.
    private let queue = DispatchQueue(label: "beside the pool")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
