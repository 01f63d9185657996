package import NIOCore

/// Runs Swift tasks on one event loop, so that an async handler resumes on the loop of its connection.
///
/// Jobs that become ready while others run wait for the next round, so that no chain of jobs keeps the loop from its I/O.
///
/// Safety of `@unchecked Sendable`: `waiting` and `drainIsScheduled` are touched on the event loop only; `enqueue` checks.
package final class EventLoopExecutor: TaskExecutor, @unchecked Sendable {
    /// The loop that runs the jobs.
    package let eventLoop: any EventLoop
    private var waiting: [UnownedJob] = []
    private var spare: [UnownedJob] = []
    private var drainIsScheduled = false

    /// Wraps a loop. Tasks of two executors over one loop take turns by two queues, so one for each loop is enough.
    package init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Runs the job on the loop, never before this call returns.
    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        guard eventLoop.inEventLoop else {
            eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
            return
        }
        // The jobs of one tick share one task of the loop, because many replies that are read at once resume many handlers.
        waiting.append(job)
        guard !drainIsScheduled else { return }
        drainIsScheduled = true
        eventLoop.execute { self.drain() }
    }

    private func drain() {
        drainIsScheduled = false
        swap(&waiting, &spare)
        let executor = asUnownedTaskExecutor()
        for job in spare { job.runSynchronously(on: executor) }
        spare.removeAll(keepingCapacity: true)
    }

    /// This executor, as the runtime refers to it.
    package func asUnownedTaskExecutor() -> UnownedTaskExecutor {
        UnownedTaskExecutor(ordinary: self)
    }
}
