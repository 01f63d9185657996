package import Commerce

/// One thing that the store can be asked to do: which rows it needs, and what becomes of them.
///
/// A use case is a value and knows no engine. An engine runs it on books of its own, alone or with others in one transaction, and where
/// that transaction fails, again.
package protocol UseCase: Sendable {
    associatedtype Value: Sendable

    /// The rows that ``decide(_:)`` may read or change, and those that it may add. An engine may read all of them beforehand.
    var needs: Needs { get }

    /// How many writes of callers this is: what the bound of a queue and the statistics count.
    var weight: Int { get }

    /// Reads and decides, then writes.
    ///
    /// A refusal comes before the first write, because the transaction may be shared and nothing would undo that write. It may run twice,
    /// so it must have no effect but on the books.
    func decide(_ books: some Books) throws -> Outcome<Value>
}

extension UseCase {
    package var weight: Int { 1 }
}

// MARK: - Running a use case

extension Books {
    /// Runs a use case, unless a response is stored under its key, and stores the response of a success in the same transaction.
    package func run<Case: UseCase>(
        _ useCase: Case, storing idempotency: IdempotentWrite<Case.Value>?, at now: Instant
    ) throws -> WriteResult<Case.Value> {
        if let idempotency {
            switch try answer(for: idempotency.key, at: now) {
            case .absent: break
            case .stored(let answer): return .replayed(answer)
            case .reused: return .refused(.idempotencyKeyReused)
            }
        }
        switch try decide(useCase) {
        case .refused(let refusal):
            return .refused(refusal)
        case .done(let value):
            if let idempotency { try keep(idempotency.render(value), under: idempotency.key, at: now) }
            return .done(value)
        }
    }

    /// Lets a use case decide, and checks that it did not write before it refused.
    package func decide<Case: UseCase>(_ useCase: Case) throws -> Outcome<Case.Value> {
        let writesBefore = writeCount
        let outcome = try useCase.decide(self)
        if case .refused(let refusal) = outcome, writeCount != writesBefore {
            throw StoreError(.internal, "a use case wrote before it refused", cause: RefusedAfterWriting(refusal: refusal))
        }
        return outcome
    }
}

/// A defect of a use case, see ``Books/decide(_:)``.
struct RefusedAfterWriting: Error {
    let refusal: Refusal
}

/// Thrown inside a decision to refuse; ``refusable(_:)`` catches it, so it never leaves the use case.
struct RefusedDecision: Error {
    let refusal: Refusal

    init(_ refusal: Refusal) {
        self.refusal = refusal
    }
}

/// Turns a refusal thrown by a decision into the outcome of the use case.
func refusable<Value>(_ body: () throws -> Value) throws -> Outcome<Value> {
    do {
        return .done(try body())
    } catch let decision as RefusedDecision {
        return .refused(decision.refusal)
    }
}

/// Reads a row; nil where it is malformed, so that work on other rows can go on.
func readable<Value>(_ read: () throws -> Value?) throws -> Value? {
    do {
        return try read()
    } catch let error as StoreError where error.code == .malformedRow {
        return nil
    }
}
