package import Commerce

/// What keeps the rows of a store: it runs use cases in transactions, and reads.
///
/// A success is reported only once it is durable. Use cases that wait together may share a transaction; each is decided in the order in
/// which they were submitted, on what those before it have written. When the transaction fails for a reason that concerns one of them,
/// that one fails alone.
package protocol StoreEngine: AnyObject, Sendable {
    /// Runs a use case, unless a response is stored under its key. The completion runs in the context, or on a thread of the engine
    /// without one; where the use case is not admitted, it runs at once on this thread.
    ///
    /// - Parameters:
    ///   - idempotency: how the response of a success is stored in the same transaction; nil where the request has no key.
    ///   - time: the service's time when the request began, by which a stored response may be past its lifetime.
    ///   - clock: what that time was read from, see ``WriteContext``.
    func submit<Case: UseCase>(
        _ useCase: Case, storing idempotency: IdempotentWrite<Case.Value>?, at time: Instant, clock: WallClock?,
        context: (any DeliveryContext)?,
        completion: @escaping @Sendable (Result<WriteResult<Case.Value>, StoreError>) -> Void)

    /// What looks rows up by key; each event loop makes one.
    func makePointReader() throws(StoreError) -> PointReader

    /// Runs reads in one consistent snapshot, in their lane.
    func read<Value: Sendable>(
        _ lane: ReadLane, _ body: @escaping @Sendable (Snapshot) throws -> Value
    ) async throws(StoreError) -> Value

    /// How many users there are, as far as this process knows; ids run from 1 to this without a gap.
    var userCount: Int64 { get }
    /// The versions of cached rows, which rise with the changes that this process makes.
    var rowVersions: RowVersions { get }
    var dueWork: DueWorkListeners { get }
    var statistics: StoreStatistics { get }
    /// How busy the writer is; nil for an engine that only reads.
    var writerLoad: WriterLoad? { get }
    /// The lease by which one of several services on the store does the background duties; nil where there is one service alone.
    func makeDutyLease() -> (any DutyLease)?
    /// How long the oldest read that waits in a lane has waited, in nanoseconds; 0 without one.
    func age(of lane: ReadLane, at now: UInt64) -> Int64

    /// Finishes the writes that were admitted, then closes; further work is refused. Blocks; closing twice does no harm.
    func close()
}
