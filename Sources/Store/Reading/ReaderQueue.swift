import Dispatch
import Foundation
import GRDB
import Logging
import Synchronization

/// The reads of one lane: a bounded queue, and a few threads with a read-only connection each.
///
/// A long read blocks neither a thread of the cooperative pool nor an event loop, and in WAL mode it never blocks the writer.
final class ReaderQueue: Sendable {
    /// A read that was admitted.
    private struct Job {
        let read: RunningRead
        let queuedAt: UInt64
        let run: @Sendable (InterruptibleConnection) -> Void
        let abandon: @Sendable (StoreError) -> Void
    }

    private struct State {
        var waiting: [Job] = []
        var running: [(read: RunningRead, began: ContinuousClock.Instant)] = []
        var refused = 0
        var cancelled = 0
        var isClosed = false

        var depth: Int { waiting.count + running.count }
    }

    private let lane: ReadLane
    private let limit: Int
    private let connections: [InterruptibleConnection]
    private let state = Mutex(State())
    /// When the oldest of `waiting` was queued; 0 without one. Written under the lock of `state`, read without it.
    private let oldest = Atomic<UInt64>(0)
    /// Signalled once for each admitted job, and on closing once for each thread.
    private let wakeup = DispatchSemaphore(value: 0)
    private let threads = DispatchGroup()
    private let logger: Logger

    /// Opens the connections.
    init(_ lane: ReadLane, path: String, options: ReadLaneOptions, logger: Logger) throws {
        self.lane = lane
        limit = options.maximumReads
        self.logger = logger
        connections = try (0..<options.connections).map { _ in try InterruptibleConnection(path: path, configuration: .reader()) }
    }

    /// Starts the threads, which keep the lane alive until it is closed.
    func start() {
        for (index, connection) in connections.enumerated() {
            threads.enter()
            let thread = Thread { [self] in
                // Set by the thread itself: a name given before the start stays in Foundation, and tools show the name of the one
                // that started it.
                Thread.current.name = "\(lane)-reader-\(index)"
                lowerPriority()
                while let job = next() {
                    job.run(connection)
                }
                threads.leave()
            }
            thread.start()
        }
    }

    var statistics: ReadLaneStatistics {
        state.withLock { state in
            var statistics = ReadLaneStatistics()
            (statistics.depth, statistics.refused, statistics.cancelled) = (state.depth, state.refused, state.cancelled)
            return statistics
        }
    }

    /// How long the oldest read that waits has waited, in nanoseconds; 0 without one. Takes no lock.
    func age(at now: UInt64) -> Int64 {
        let since = oldest.load(ordering: .relaxed)
        return since == 0 || since > now ? 0 : Int64(now - since)
    }

    private func noteOldest(_ state: borrowing State) { oldest.store(state.waiting.first?.queuedAt ?? 0, ordering: .relaxed) }

    /// Queues a read, which runs in one snapshot. The completion runs on the reader's thread, or at once on this one when not admitted.
    func submit<Value: Sendable>(
        _ read: RunningRead, _ body: @escaping @Sendable (Database) throws -> Value,
        completion: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        enqueue(read, completion) { connection in try connection.read(read, body) }
    }

    /// Ends a read whose caller was cancelled: one that waits is dropped, one that runs is ended, one that is yet to come is not admitted.
    func cancel(_ read: RunningRead) {
        read.end(.cancelled)
        let dropped = state.withLock { state -> Job? in
            guard let place = state.waiting.firstIndex(where: { $0.read === read }) else { return nil }
            state.cancelled += 1
            defer { noteOldest(state) }
            return state.waiting.remove(at: place)
        }
        dropped?.abandon(RunningRead.cancelled)
    }

    /// Ends the reads that began before an instant and still run; each fails as unavailable, in the middle of its statement or before its
    /// next one. Returns their number.
    func endReads(begunBefore instant: ContinuousClock.Instant) -> Int {
        let reads = state.withLock { $0.running.filter { $0.began < instant } }
        for (read, _) in reads { read.end(.logTooLong) }
        return reads.count
    }

    /// Waits for the reads that were admitted, ends the threads and closes the connections.
    func close() {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return threads.wait() }
        for _ in connections { wakeup.signal() }
        threads.wait()
        for connection in connections {
            do {
                try connection.queue.close()
            } catch {
                logger.error("a read connection of the store did not close", metadata: ["error": "\(error)"])
            }
        }
    }

    private func enqueue<Value: Sendable>(
        _ read: RunningRead, _ completion: @escaping @Sendable (Result<Value, StoreError>) -> Void,
        work: @escaping @Sendable (InterruptibleConnection) throws -> Value
    ) {
        let job = Job(read: read, queuedAt: DispatchTime.now().uptimeNanoseconds) { [self] connection in
            let result = Result { try work(connection) }.mapError(read.failure)
            ended(read)
            completion(result)
        } abandon: {
            completion(.failure($0))
        }
        if let refusal = admit(job) { return completion(.failure(refusal)) }
        wakeup.signal()
    }

    private func admit(_ job: Job) -> StoreError? {
        state.withLock { state in
            guard !state.isClosed else { return StoreError(.closed, "the store is closed") }
            guard job.read.ending == .none else {
                state.cancelled += 1
                return RunningRead.cancelled
            }
            guard state.depth < limit else {
                state.refused += 1
                return Self.overloaded
            }
            state.waiting.append(job)
            noteOldest(state)
            return nil
        }
    }

    private static let overloaded = StoreError(.overloaded, "too many reads wait for the store")

    private func ended(_ read: RunningRead) {
        state.withLock { state in
            state.running.removeAll { $0.read === read }
            if read.ending == .cancelled { state.cancelled += 1 }
        }
    }
}

// MARK: - On the lane's threads

extension ReaderQueue {
    /// The next job, waiting for one; `nil` once the lane is closed and empty.
    private func next() -> Job? {
        while true {
            wakeup.wait()
            let (job, isOver) = state.withLock { state -> (Job?, Bool) in
                // Nothing waits where the read that was signalled here was dropped.
                guard !state.waiting.isEmpty else { return (nil, state.isClosed) }
                let job = state.waiting.removeFirst()
                noteOldest(state)
                state.running.append((job.read, .now))
                return (job, false)
            }
            if let job { return job }
            if isOver { return nil }
        }
    }

    /// Gives this thread the nice value of its lane; on Linux, a nice value belongs to a single thread.
    private func lowerPriority() {
        #if os(Linux)
        guard lane.niceness > 0, setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, lane.niceness) != 0 else { return }
        logger.notice("the lane keeps its priority", metadata: ["lane": "\(lane)", "errno": "\(errno)"])
        #endif
    }
}
