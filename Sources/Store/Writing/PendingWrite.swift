/// A job that waits for the writer, with its type erased.
protocol WriteJob: AnyObject, Sendable {
    var context: (any DeliveryContext)? { get }
    /// How many writes of callers the job makes: the bound of the queue and the statistics count these.
    var weight: Int { get }
    /// Runs the job inside the current transaction and keeps its result. Throws what the database throws.
    ///
    /// May run twice: the first run's effects are then rolled back and its result is overwritten.
    func run(_ books: SQLiteBooks) throws
    /// Replaces the result by a failure.
    func fail(_ error: StoreError)
    /// Hands the result to the caller; called once, in the caller's context.
    func deliver()
}

/// One caller's job and, later, its result.
///
/// Safe to send although it is mutable: `result` is written by the writer thread alone, and read after that only by `deliver`,
/// which the context runs after the writer is done with the job. A lock orders the hand-over to the writer and the one back.
final class PendingWrite<Value: Sendable>: WriteJob, @unchecked Sendable {
    let context: (any DeliveryContext)?
    let weight: Int
    private let job: @Sendable (SQLiteBooks) throws -> Value
    private let completion: @Sendable (Result<Value, StoreError>) -> Void
    private var result: Result<Value, StoreError> = .failure(StoreError(.internal, "the write was never run"))

    init(
        weight: Int, context: (any DeliveryContext)?, job: @escaping @Sendable (SQLiteBooks) throws -> Value,
        completion: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        (self.weight, self.context, self.job, self.completion) = (weight, context, job, completion)
    }

    func run(_ books: SQLiteBooks) throws {
        result = .success(try job(books))
    }

    func fail(_ error: StoreError) {
        result = .failure(error)
    }

    func deliver() {
        completion(result)
    }
}
