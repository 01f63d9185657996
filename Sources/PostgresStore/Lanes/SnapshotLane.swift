import Dispatch
import Foundation
import Store
import Synchronization

/// Threads with a connection each, which run the reads of one lane, each in a snapshot of its own.
final class SnapshotLane: Sendable {
    private struct State {
        var waiting: [Read] = []
        /// Reads that wait or run.
        var depth = 0
        var refused = 0
        var cancelled = 0
        var isClosed = false
    }

    private struct Read: Sendable {
        let since = WriterLoad.now
        let isCancelled: CancellationFlag
        let run: @Sendable (SnapshotConnection) -> Void
        let fail: @Sendable (StoreError) -> Void
    }

    private let state = Mutex(State())
    /// Signalled once for each read that waits, and once for each thread at the end.
    private let work = DispatchSemaphore(value: 0)
    private let threads = DispatchGroup()
    private let options: ReadLaneOptions
    private let lane: ReadLane

    /// - Parameter current: nil for a store that is opened for reading.
    init(_ lane: ReadLane, _ options: ReadLaneOptions, _ configuration: PostgresStoreConfiguration, on current: CurrentServer?) {
        (self.lane, self.options) = (lane, options)
        for _ in 0..<options.connections {
            threads.enter()
            let thread = Thread { [self] in
                let connection = SnapshotConnection(lane, configuration, on: current)
                runReads(on: connection)
                connection.close()
                threads.leave()
            }
            thread.name = "store-\(lane.rawValue)"
            thread.start()
        }
    }

    private func runReads(on connection: SnapshotConnection) {
        while true {
            work.wait()
            let read = state.withLock { state -> Read? in state.waiting.isEmpty ? nil : state.waiting.removeFirst() }
            // Without a read, the signal was that of the end.
            guard let read else { return }
            if read.isCancelled.isSet {
                state.withLock { $0.cancelled += 1 }
                read.fail(StoreError(.cancelled, "the caller of the read was cancelled"))
            } else {
                read.run(connection)
            }
            state.withLock { $0.depth -= 1 }
        }
    }

    /// Runs a read in one snapshot. One whose task is cancelled while it waits is dropped, except in the service's own lane.
    func read<Value: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> Value) async throws(StoreError) -> Value {
        let flag = CancellationFlag()
        let result: Result<Value, StoreError> = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let read = Read(isCancelled: flag) { connection in
                    continuation.resume(
                        returning: Result { try connection.inSnapshot { try body(Snapshot(connection)) } }.mapError { StoreError(of: $0) })
                } fail: { error in
                    continuation.resume(returning: .failure(error))
                }
                if let refusal = admit(read) { continuation.resume(returning: .failure(refusal)) }
            }
        } onCancel: {
            if lane != .service { flag.set() }
        }
        return try result.get()
    }

    /// Nil for a read that waits now.
    private func admit(_ read: Read) -> StoreError? {
        let refusal = state.withLock { state -> StoreError? in
            if state.isClosed { return StoreError(.closed, "the store is closed") }
            guard state.depth < options.maximumReads else {
                state.refused += 1
                return StoreError(.overloaded, "too many reads wait in the lane \(lane.rawValue)")
            }
            state.waiting.append(read)
            state.depth += 1
            return nil
        }
        if refusal == nil { work.signal() }
        return refusal
    }

    var statistics: ReadLaneStatistics {
        state.withLock { state in
            var statistics = ReadLaneStatistics()
            (statistics.depth, statistics.refused, statistics.cancelled) = (state.depth, state.refused, state.cancelled)
            return statistics
        }
    }

    /// How long the oldest read that waits has waited, in nanoseconds; 0 without one.
    func age(at now: UInt64) -> Int64 {
        state.withLock { state in state.waiting.first.map { $0.since > now ? 0 : Int64(now - $0.since) } ?? 0 }
    }

    /// Runs what waits, then ends the threads; further reads are refused. Blocks until then.
    func close() {
        let closes = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        if closes { for _ in 0..<options.connections { work.signal() } }
        threads.wait()
    }
}

/// Whether the caller of a read was cancelled.
private final class CancellationFlag: Sendable {
    private let value = Atomic(false)

    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}
