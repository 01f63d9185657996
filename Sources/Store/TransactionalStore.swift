package import Commerce
package import Logging

/// The source of truth for everything that a user owns: balances, orders, payments, issued coupons; and for the outbox of events.
///
/// It runs the store's use cases on an engine, see ``StoreEngine``: writes are durable when they are answered, and reads never wait for a
/// write.
package final class TransactionalStore: Sendable {
    /// SQLite's engine is named, so that the compiler makes each use case for it; others are called through the protocol.
    enum Engine {
        case sqlite(SQLiteEngine)
        case other(any StoreEngine)
    }

    let options: StoreOptions
    /// Which store this is, as it was when it was opened.
    package let identity: StoreIdentity
    let engine: Engine
    /// The versions of cached rows; in a store that was opened for reading, they never rise.
    package let rowVersions: RowVersions
    let dueWork: DueWorkListeners

    /// Opens the store in the file at `path`, and creates or migrates it where needed.
    ///
    /// The caller must keep a second service off the file, and must call `close()`: the store's threads run until then.
    package static func open(path: String, options: StoreOptions, logger: Logger) throws(StoreError) -> TransactionalStore {
        let engine = try SQLiteEngine(path: path, options: options, logger: logger)
        return TransactionalStore(.sqlite(engine), engine, identity: engine.identity, options: options)
    }

    /// A store on another engine.
    package convenience init(engine: any StoreEngine, identity: StoreIdentity, options: StoreOptions) {
        self.init(.other(engine), engine, identity: identity, options: options)
    }

    private init(_ engine: Engine, _ any: any StoreEngine, identity: StoreIdentity, options: StoreOptions) {
        (self.engine, self.identity, self.options) = (engine, identity, options)
        (rowVersions, dueWork) = (any.rowVersions, any.dueWork)
    }

    private var anyEngine: any StoreEngine {
        switch engine {
        case .sqlite(let engine): engine
        case .other(let engine): engine
        }
    }

    /// The store's file; nil for an engine without one.
    var path: String? {
        switch engine {
        case .sqlite(let engine): engine.path
        case .other: nil
        }
    }

    /// Whether the rows are on a server, which other services may change too. Then each look-up by key asks that server, and what is cached
    /// may be outdated by others.
    package var isOnServer: Bool { if case .other = engine { true } else { false } }

    /// Finishes the writes that were admitted, then closes; further work is refused. Blocks; closing twice does no harm.
    package func close() { anyEngine.close() }

    /// Counts since the store was opened, and its present state.
    package var statistics: StoreStatistics { anyEngine.statistics }

    /// How busy the writer is; nil in a store that was opened for reading.
    package var writerLoad: WriterLoad? { anyEngine.writerLoad }

    /// How long the oldest read that waits in a lane has waited, in nanoseconds; 0 without one.
    ///
    /// - Parameter now: nanoseconds of the machine's monotonic clock.
    package func age(of lane: ReadLane, at now: UInt64) -> Int64 { anyEngine.age(of: lane, at: now) }

    /// How many users there are; ids run from 1 to this without a gap.
    package var userCount: Int64 { anyEngine.userCount }

    /// Whether the user's creation has committed. Lock-free, because every claim asks it.
    package func userExists(_ id: UserID) -> Bool {
        switch engine {
        case .sqlite(let engine): engine.userExists(id)
        case .other(let engine): id.rawValue >= 1 && id.rawValue <= engine.userCount
        }
    }

    /// The lease by which one of several services on the store does the background duties; nil where there is one service alone.
    package func makeDutyLease() -> (any DutyLease)? { anyEngine.makeDutyLease() }

    /// What looks rows up by key; each event loop makes one.
    package func makePointReader() throws(StoreError) -> PointReader { try anyEngine.makePointReader() }
}

// MARK: - Writes

// Inlined, so that a caller's write is one asynchronous call less: measured, 1 % of a charge's instructions. Also, the use case is then
// known where SQLite's engine makes a job of it.
extension TransactionalStore {
    /// Runs a use case whose response may be stored, and returns its result once the commit is durable.
    @inline(__always)
    func write<Case: UseCase>(
        _ useCase: Case, in context: WriteContext<Case.Value>
    ) async throws(StoreError) -> WriteResult<Case.Value> {
        if let log = context.adminLog { return try await writeLogged(useCase, log, in: context) }
        return try await submit(useCase, in: context)
    }

    /// Not inlined: what an admin does may cost a call more.
    @inline(never)
    private func writeLogged<Case: UseCase>(
        _ useCase: Case, _ log: AdminLog<Case.Value>, in context: WriteContext<Case.Value>
    ) async throws(StoreError) -> WriteResult<Case.Value> {
        try await submit(Logged(useCase: useCase, log: log), in: context)
    }

    @inline(__always)
    private func submit<Case: UseCase>(
        _ useCase: Case, in context: WriteContext<Case.Value>
    ) async throws(StoreError) -> WriteResult<Case.Value> {
        let result: Result<WriteResult<Case.Value>, StoreError> = await withUnsafeContinuation { continuation in
            switch engine {
            case .sqlite(let engine):
                engine.submit(
                    useCase, storing: context.idempotency, at: context.time, clock: context.clock, context: context.delivery
                ) {
                    continuation.resume(returning: $0)
                }
            case .other(let engine):
                engine.submit(
                    useCase, storing: context.idempotency, at: context.time, clock: context.clock, context: context.delivery
                ) {
                    continuation.resume(returning: $0)
                }
            }
        }
        return try result.get()
    }

    /// Runs a use case that may be refused and whose response is not stored, and logs it where an admin has asked for it.
    func decide<Case: UseCase>(
        _ useCase: Case, log: AdminLog<Case.Value>?, context: (any DeliveryContext)?
    ) async throws(StoreError) -> Outcome<Case.Value> {
        if let log { return try await decide(Logged(useCase: useCase, log: log), context: context) }
        return try await decide(useCase, context: context)
    }

    /// Runs a use case that may be refused and whose response is not stored.
    @inline(__always)
    func decide<Case: UseCase>(
        _ useCase: Case, context: (any DeliveryContext)?
    ) async throws(StoreError) -> Outcome<Case.Value> {
        let result: Result<Outcome<Case.Value>, StoreError> = await withUnsafeContinuation { continuation in
            switch engine {
            case .sqlite(let engine): engine.submit(useCase, context: context) { continuation.resume(returning: $0) }
            case .other(let engine): Self.submit(useCase, to: engine, context) { continuation.resume(returning: $0) }
            }
        }
        return try result.get()
    }

    /// Runs a use case that is never refused.
    @inline(__always)
    func write<Case: UseCase>(_ useCase: Case, context: (any DeliveryContext)? = nil) async throws(StoreError) -> Case.Value {
        let result: Result<Case.Value, StoreError> = await withUnsafeContinuation { continuation in
            submit(useCase, context: context) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// Runs a use case that is never refused. The completion runs in the context once the commit is durable, or at once, on this thread,
    /// where the use case is not admitted.
    @inline(__always)
    func submit<Case: UseCase>(
        _ useCase: Case, context: (any DeliveryContext)?, completion: @escaping @Sendable (Result<Case.Value, StoreError>) -> Void
    ) {
        switch engine {
        case .sqlite(let engine): engine.submitAccepted(useCase, context: context, completion: completion)
        case .other(let engine):
            Self.submit(useCase, to: engine, context) { result in
                completion(result.flatMap { outcome in Result { try outcome.accepted }.mapError { StoreError(classifying: $0) } })
            }
        }
    }

    /// Submits a use case whose response is not stored, so its time is not looked at.
    private static func submit<Case: UseCase>(
        _ useCase: Case, to engine: any StoreEngine, _ context: (any DeliveryContext)?,
        completion: @escaping @Sendable (Result<Outcome<Case.Value>, StoreError>) -> Void
    ) {
        engine.submit(useCase, storing: nil, at: Instant(milliseconds: 0), clock: nil, context: context) { result in
            completion(
                result.flatMap { result in
                    switch result {
                    case .done(let value): .success(.done(value))
                    case .refused(let refusal): .success(.refused(refusal))
                    case .replayed: .failure(StoreError(.internal, "a use case without a key has a stored response"))
                    }
                })
        }
    }
}

// MARK: - Reads

extension TransactionalStore {
    /// Runs a read in its lane, in one consistent snapshot.
    func read<Value: Sendable>(
        _ lane: ReadLane, _ body: @escaping @Sendable (QueryConnection) throws -> Value
    ) async throws(StoreError) -> Value {
        try await anyEngine.read(lane) { try body($0.db) }
    }

    /// Runs reads in one consistent snapshot, in a lane.
    func readSnapshot<Value: Sendable>(
        _ lane: ReadLane, _ body: @escaping @Sendable (Snapshot) throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        try await anyEngine.read(lane) { try body($0) }
    }

    /// Runs reads in one consistent snapshot, in the lane `service`.
    ///
    /// A snapshot may be ended as `unavailable` when it keeps the write-ahead log from starting over for too long.
    package func snapshot<Value: Sendable>(
        _ body: @escaping @Sendable (Snapshot) throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        try await anyEngine.read(.service) { try body($0) }
    }
}
