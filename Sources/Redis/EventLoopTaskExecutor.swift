package import NIOCore

/// Runs tasks on an event loop: `Task.immediate(executorPreference: executor) { ... }`.
///
/// Jobs made ready on the loop itself, which is the usual case, are collected and run together later in the same tick, at
/// the cost of one `execute` for all of them.
///
/// Safety of `@unchecked Sendable`: `ready` and `isDrainScheduled` are touched on the loop only.
package final class EventLoopTaskExecutor: TaskExecutor, @unchecked Sendable {
    package let eventLoop: any EventLoop
    private var ready: [UnownedJob] = []
    private var running: [UnownedJob] = []
    private var isDrainScheduled = false

    package init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        guard eventLoop.inEventLoop else {
            eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
            return
        }
        ready.append(job)
        guard !isDrainScheduled else { return }
        isDrainScheduled = true
        eventLoop.execute { self.drain() }
    }

    /// Jobs that become ready while these run wait for the next round, so that no chain of jobs keeps the loop from its I/O.
    private func drain() {
        isDrainScheduled = false
        swap(&ready, &running)
        for job in running { job.runSynchronously(on: asUnownedTaskExecutor()) }
        running.removeAll(keepingCapacity: true)
    }
}
