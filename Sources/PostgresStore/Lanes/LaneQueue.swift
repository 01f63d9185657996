import Dispatch
import Store
import Synchronization

/// What waits in a queue of a lane.
protocol LaneWork: AnyObject, Sendable {
    /// Where the result is delivered; nil for the lane's own thread.
    var context: (any DeliveryContext)? { get }
    /// How many writes or reads of callers it is: what the bound of the queue counts.
    var weight: Int { get }
    /// When it was submitted.
    var submitted: ContinuousClock.Instant { get }
    /// Replaces the result by a failure.
    func fail(_ error: StoreError)
    /// Hands the result to the caller; called once, in the caller's context.
    func deliver()
}

/// The bounded queue between callers on any thread and the thread of a lane.
///
/// State lives in the mutex. While the lane works, a submit costs only the lock; a sleeping lane is woken.
final class LaneQueue<Work: Sendable>: Sendable {
    enum Admission {
        case admitted
        case full
        case closed
    }

    /// What a lane waits for before it takes work that waits already.
    struct Gathering {
        /// So many writes end the wait.
        let writes: Int
        /// When the wait ends, also where fewer writes wait.
        let end: DispatchTime
    }

    private enum Step {
        case take
        case sleep(until: DispatchTime)
        case end
    }

    private struct State {
        var waiting: [Work] = []
        /// Weight of the work that was admitted and not answered.
        var depth = 0
        /// When the first of `waiting` was queued, and when the first of what the lane has taken was; 0 without one.
        var waitingSince: UInt64 = 0
        var takenSince: UInt64 = 0
        /// The depth that wakes the lane; 0 while it works.
        var wakesAt = 0
        var isClosed = false
    }

    private let state = Mutex(State())
    private let wakeup = DispatchSemaphore(value: 0)
    private let limit: Int
    let load: WriterLoad

    init(limit: Int, maximumGroup: Int) {
        self.limit = limit
        load = WriterLoad(maximumGroup: maximumGroup)
    }

    var depth: Int { state.withLock { $0.depth } }

    func append(_ work: Work, weight: Int) -> Admission {
        let (admission, wakes) = state.withLock { state -> (Admission, Bool) in
            guard !state.isClosed else { return (.closed, false) }
            guard state.depth < limit else { return (.full, false) }
            if state.waiting.isEmpty {
                state.waitingSince = WriterLoad.now
                if state.takenSince == 0 { load.setOldest(state.waitingSince) }
            }
            state.waiting.append(work)
            state.depth += weight
            load.setDepth(state.depth)
            guard state.wakesAt > 0, state.depth >= state.wakesAt else { return (.admitted, false) }
            state.wakesAt = 0
            return (.admitted, true)
        }
        if wakes { wakeup.signal() }
        return admission
    }

    /// Admits nothing more; what was admitted is still handed out.
    func close() {
        let wakes = state.withLock { state -> Bool in
            state.isClosed = true
            defer { state.wakesAt = 0 }
            return state.wakesAt > 0
        }
        if wakes { wakeup.signal() }
    }

    /// Sleeps until work waits and swaps it with the empty array given; `false` once the queue is closed and empty.
    ///
    /// - Parameter gathering: until when the lane sleeps although work waits; nil to take it at once.
    func takeAll(into work: inout [Work], gathering: Gathering? = nil) -> Bool {
        while true {
            let step = state.withLock { state -> Step in
                state.takenSince = 0
                load.setOldest(state.waitingSince)
                guard !state.waiting.isEmpty else {
                    guard !state.isClosed else { return .end }
                    state.wakesAt = 1
                    return .sleep(until: .distantFuture)
                }
                if let gathering, !state.isClosed, state.depth < gathering.writes, .now() < gathering.end {
                    state.wakesAt = gathering.writes
                    return .sleep(until: gathering.end)
                }
                (state.takenSince, state.waitingSince, state.wakesAt) = (state.waitingSince, 0, 0)
                swap(&state.waiting, &work)
                return .take
            }
            switch step {
            case .take: return true
            case .end: return false
            case .sleep(let end): _ = wakeup.wait(timeout: end)
            }
        }
    }

    /// Notes that work was answered, and returns the weight of what waits.
    @discardableResult
    func answered(weight: Int) -> Int {
        state.withLock { state in
            state.depth -= weight
            load.setDepth(state.depth)
            return state.depth
        }
    }
}

extension Collection where Element == any LaneWork {
    /// Hands each context all of its results in one call.
    func deliverAll() {
        var byContext: [ObjectIdentifier: (context: any DeliveryContext, work: [any LaneWork])] = [:]
        for work in self {
            guard let context = work.context else {
                work.deliver()
                continue
            }
            byContext[ObjectIdentifier(context), default: (context, [])].work.append(work)
        }
        for (context, work) in byContext.values {
            context.deliver { for work in work { work.deliver() } }
        }
    }
}
