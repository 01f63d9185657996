import Store

/// A use case that waits for its lane, with its type erased.
protocol LaneJob: LaneWork {
    var needs: Needs { get }
    /// Runs the use case on the group's books and keeps its result; may run again, and then the last result counts.
    func run(_ books: PostgresBooks) throws
}

/// One caller's use case and, later, its result.
///
/// Safe to send although it is mutable: `result` is written by the lane's thread alone, and read after that only by `deliver`, which the
/// context runs after the lane is done with the job. A lock orders the hand-over to the lane and the one back.
final class PendingUseCase<Value: Sendable>: LaneJob, @unchecked Sendable {
    let context: (any DeliveryContext)?
    let weight: Int
    let needs: Needs
    let submitted = ContinuousClock.now
    /// How long its request has waited; nil for the time since it was submitted.
    private let waited: (@Sendable () -> Duration)?
    private let job: @Sendable (PostgresBooks) throws -> Value
    private let completion: @Sendable (Result<Value, StoreError>) -> Void
    private var result: Result<Value, StoreError> = .failure(StoreError(.internal, "the write was never run"))

    init(
        weight: Int, needs: Needs, waited: (@Sendable () -> Duration)?, context: (any DeliveryContext)?,
        job: @escaping @Sendable (PostgresBooks) throws -> Value, completion: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        (self.weight, self.needs, self.waited, self.context) = (weight, needs, waited, context)
        (self.job, self.completion) = (job, completion)
    }

    func run(_ books: PostgresBooks) throws {
        books.waited = waited?() ?? submitted.duration(to: .now)
        result = .success(try job(books))
    }

    func fail(_ error: StoreError) { result = .failure(error) }
    func deliver() { completion(result) }
}
