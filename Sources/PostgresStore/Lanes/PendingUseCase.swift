import Commerce
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
    /// When its request began, by the clock.
    private let time: Instant
    private let clock: WallClock?
    private let job: @Sendable (PostgresBooks) throws -> Value
    private let completion: @Sendable (Result<Value, StoreError>) -> Void
    private var result: Result<Value, StoreError> = .failure(StoreError(.internal, "the write was never run"))

    init(
        weight: Int, needs: Needs, time: Instant, clock: WallClock?, context: (any DeliveryContext)?,
        job: @escaping @Sendable (PostgresBooks) throws -> Value, completion: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        (self.weight, self.needs, self.time, self.clock, self.context) = (weight, needs, time, clock, context)
        (self.job, self.completion) = (job, completion)
    }

    func run(_ books: PostgresBooks) throws {
        books.waited = waited
        result = .success(try job(books))
    }

    /// How long its request has waited; without a clock, how long it has waited itself. A clock that was set meanwhile adds 10 s at most.
    private var waited: Duration {
        guard let clock else { return submitted.duration(to: .now) }
        return .milliseconds(min(max(clock.now.milliseconds - time.milliseconds, 0), 10_000))
    }

    func fail(_ error: StoreError) { result = .failure(error) }
    func deliver() { completion(result) }
}
