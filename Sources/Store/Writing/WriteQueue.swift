import Dispatch
import Synchronization

/// The bounded queue between callers on any thread and the one writer thread.
///
/// State lives in the mutex. While the writer works, a submit costs only the lock; a sleeping writer is woken.
final class WriteQueue: Sendable {
    enum Admission {
        case admitted
        case full
        case closed
    }

    private struct State {
        var waiting: [any WriteJob] = []
        /// Weight of the jobs admitted and not yet answered: those in `waiting` and those that the writer has taken.
        var depth = 0
        /// When the first of `waiting` was queued, and when the first of those was that the writer has taken; 0 without one.
        var waitingSince: UInt64 = 0
        var takenSince: UInt64 = 0
        var writerSleeps = false
        var isClosed = false
    }

    private let state = Mutex(State())
    private let wakeup = DispatchSemaphore(value: 0)
    private let limit: Int
    /// The queue's length and age, for readers without the lock.
    let load: WriterLoad

    init(limit: Int, maximumGroup: Int) {
        self.limit = limit
        load = WriterLoad(maximumGroup: maximumGroup)
    }

    var depth: Int { state.withLock { $0.depth } }

    func append(_ job: any WriteJob) -> Admission {
        let (admission, wakes) = state.withLock { state -> (Admission, Bool) in
            guard !state.isClosed else { return (.closed, false) }
            guard state.depth < limit else { return (.full, false) }
            if state.waiting.isEmpty {
                state.waitingSince = WriterLoad.now
                if state.takenSince == 0 { load.setOldest(state.waitingSince) }
            }
            state.waiting.append(job)
            state.depth += job.weight
            load.setDepth(state.depth)
            defer { state.writerSleeps = false }
            return (.admitted, state.writerSleeps)
        }
        if wakes { wakeup.signal() }
        return admission
    }

    /// Admits nothing more; what was admitted is still handed out.
    func close() {
        let wakes = state.withLock { state -> Bool in
            state.isClosed = true
            defer { state.writerSleeps = false }
            return state.writerSleeps
        }
        if wakes { wakeup.signal() }
    }

    /// Sleeps until jobs wait and swaps them with the empty array given; `false` once the queue is closed and empty.
    func takeAll(into jobs: inout [any WriteJob]) -> Bool {
        while true {
            let sleeps = state.withLock { state -> Bool? in
                (state.takenSince, state.waitingSince) = (state.waitingSince, 0)
                load.setOldest(state.takenSince)
                guard state.waiting.isEmpty else {
                    swap(&state.waiting, &jobs)
                    return false
                }
                guard !state.isClosed else { return nil }
                state.writerSleeps = true
                return true
            }
            guard let sleeps else { return false }
            guard sleeps else { return true }
            wakeup.wait()
        }
    }

    func answered(weight: Int) {
        state.withLock { state in
            state.depth -= weight
            load.setDepth(state.depth)
        }
    }
}
