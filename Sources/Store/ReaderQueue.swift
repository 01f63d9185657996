import Foundation
import GRDB
import Logging
import Synchronization

/// One read while it holds its snapshot.
final class RunningRead: Sendable {
    private let isEnded = Atomic(false)
    let began = ContinuousClock.now

    func end() { isEnded.store(true, ordering: .releasing) }

    /// Asked before each statement: SQLite's interrupt reaches only one that is running.
    func checkNotEnded() throws(StoreError) {
        if isEnded.load(ordering: .acquiring) { throw StoreError(interrupting: nil) }
    }
}

/// Lists and long reads: a few read-only connections behind a bounded queue, on threads of their own.
///
/// A long read costs neither the cooperative pool nor an event loop a thread, and in WAL mode it never blocks the writer.
final class ReaderQueue: Sendable {
    private struct State {
        /// Reads that wait or run.
        var depth = 0
        var isClosed = false
        var running: [ObjectIdentifier: RunningRead] = [:]
    }

    private let pool: DatabasePool
    private let operations = OperationQueue()
    private let state = Mutex(State())
    private let limit: Int
    private let logger: Logger

    init(path: String, options: StoreOptions, logger: Logger) throws {
        limit = options.maximumQueuedReads
        self.logger = logger
        pool = try DatabasePool(path: path, configuration: .reader(connections: options.readers))
        operations.name = "store-readers"
        // As many at once as there are connections: a read that waits occupies no thread.
        operations.maxConcurrentOperationCount = options.readers
    }

    var depth: Int { state.withLock { $0.depth } }

    /// Runs a read soon, in one snapshot; the completion runs on the reader's thread, or at once on this one when not admitted.
    func submit<Value: Sendable>(
        _ body: @escaping @Sendable (Database, RunningRead) throws -> Value,
        completion: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        enqueue(completion) { [self] pool in
            let read = RunningRead()
            state.withLock { $0.running[ObjectIdentifier(read)] = read }
            defer { state.withLock { $0.running[ObjectIdentifier(read)] = nil } }
            return try pool.read { db in try body(db, read) }
        }
    }

    /// Copies the whole store to a file in one snapshot.
    func backup(to destination: String, completion: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
        enqueue(completion) { pool in
            do {
                let copy = try DatabaseQueue(path: destination)
                try pool.backup(to: copy)
                try copy.close()
            } catch {
                // Half a copy would look like a whole one, and stand in the way of the next.
                for file in [destination, destination + "-journal"] { unlink(file) }
                throw error
            }
        }
    }

    /// Runs a read on the caller's thread; for opening, when nothing else happens yet.
    func now<Value>(_ body: (Database) throws -> Value) throws -> Value {
        try pool.read(body)
    }

    /// Ends the reads that began before an instant and still run; each fails as unavailable, in the middle of its statement or before its
    /// next one. Says how many.
    func endReads(begunBefore instant: ContinuousClock.Instant) -> Int {
        let reads = state.withLock { $0.running.values.filter { $0.began < instant } }
        if reads.isEmpty { return 0 }
        for read in reads { read.end() }
        pool.interrupt()
        return reads.count
    }

    /// Waits for the reads that were admitted and closes the connections.
    func close() {
        state.withLock { $0.isClosed = true }
        operations.waitUntilAllOperationsAreFinished()
        do {
            try pool.close()
        } catch {
            logger.error("the store's read connections did not close", metadata: ["error": "\(error)"])
        }
    }

    private func enqueue<Value: Sendable>(
        _ completion: @escaping @Sendable (Result<Value, StoreError>) -> Void,
        work: @escaping @Sendable (DatabasePool) throws -> Value
    ) {
        if let refused = admit() { return completion(.failure(refused)) }
        operations.addOperation { [self] in
            let result = Result { try work(pool) }.mapError(StoreError.init(classifying:))
            state.withLock { $0.depth -= 1 }
            completion(result)
        }
    }

    private func admit() -> StoreError? {
        state.withLock { state in
            guard !state.isClosed else { return StoreError(.closed, "the store is closed") }
            guard state.depth < limit else { return StoreError(.overloaded, "too many reads wait for the store") }
            state.depth += 1
            return nil
        }
    }
}
