import Foundation
import GRDB
import Synchronization

/// Lists and long reads: a few read-only connections behind a bounded queue, on threads of their own.
///
/// A long read costs neither the cooperative pool nor an event loop a thread, and in WAL mode it never blocks the writer.
final class ReaderQueue: Sendable {
    private struct State {
        /// Reads that wait or run.
        var depth = 0
        var isClosed = false
    }

    private let pool: DatabasePool
    private let operations = OperationQueue()
    private let state = Mutex(State())
    private let limit: Int

    init(path: String, options: StoreOptions) throws {
        limit = options.maximumQueuedReads
        pool = try DatabasePool(path: path, configuration: .reader(connections: options.readers))
        operations.name = "store-readers"
        // As many at once as there are connections: a read that waits occupies no thread.
        operations.maxConcurrentOperationCount = options.readers
    }

    var depth: Int { state.withLock { $0.depth } }

    /// Runs a read soon, in one snapshot; the completion runs on the reader's thread, or at once on this one when not admitted.
    func submit<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value, completion: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        enqueue(completion) { pool in try pool.read(body) }
    }

    /// Copies the whole store to a file in one snapshot.
    func backup(to destination: String, completion: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
        enqueue(completion) { pool in
            let copy = try DatabaseQueue(path: destination)
            try pool.backup(to: copy)
            try copy.close()
        }
    }

    /// Runs a read on the caller's thread; for opening, when nothing else happens yet.
    func now<Value>(_ body: (Database) throws -> Value) throws -> Value {
        try pool.read(body)
    }

    /// Waits for the reads that were admitted and closes the connections.
    func close() {
        state.withLock { $0.isClosed = true }
        operations.waitUntilAllOperationsAreFinished()
        do {
            try pool.close()
        } catch {
            // A connection that stays open reads only; the process that ends closes it.
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
