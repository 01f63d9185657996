import Commerce
import Dispatch
import PostgresStore
import Synchronization

@testable import Store

/// A charge, or an event of an order, that stops between reading and writing until it is let go on.
final class Gate: Sendable {
    private let state = Mutex((reached: false, runs: 0))
    private let semaphore = DispatchSemaphore(value: 0)

    var isReached: Bool { state.withLock { $0.reached } }
    var runs: Int { state.withLock { $0.runs } }

    func open() { semaphore.signal() }

    func pass(_ engine: PostgresEngine, _ user: UserID) async throws {
        let result: Result<WriteResult<Won>, StoreError> = await withCheckedContinuation { continuation in
            engine.submit(GatedCharge(gate: self, user: user), storing: nil, at: noon, clock: nil, context: nil) {
                continuation.resume(returning: $0)
            }
        }
        guard case .done = try result.get() else { throw NotDone(result: "\(result)") }
    }

    /// Appends an event of the order, which says that the order was paid.
    func append(_ engine: PostgresEngine, eventOf order: OrderID) async throws {
        let append = GatedEvent(gate: self, order: order)
        let result: Result<WriteResult<Int>, StoreError> = await withCheckedContinuation { continuation in
            engine.submit(append, storing: nil, at: noon, clock: nil, context: nil) { continuation.resume(returning: $0) }
        }
        guard case .done = try result.get() else { throw NotDone(result: "\(result)") }
    }

    fileprivate func wait() {
        let isFirst = state.withLock { state in
            state.runs += 1
            defer { state.reached = true }
            return !state.reached
        }
        if isFirst { semaphore.wait() }
    }
}

private struct GatedCharge: UseCase {
    let gate: Gate
    let user: UserID

    var needs: Needs { Needs(users: [user], new: NewRows(transfers: 1, charges: 1)) }

    func decide(_ books: some Books) throws -> Outcome<Won> {
        guard let balance = try books.balance(of: user)?.amount else { return .refused(.userNotFound) }
        gate.wait()
        let after = Won(balance.rawValue + 1_000)
        let transfer = try books.transfer(
            .charge, user: user, amount: Won(1_000), balanceAfter: after, orderID: nil, at: noon)
        _ = try books.insertCharge(of: user, amount: Won(1_000), transfer: transfer, at: noon)
        return .done(after)
    }
}

private struct GatedEvent: UseCase {
    let gate: Gate
    let order: OrderID

    var needs: Needs { Needs(orders: [order], new: NewRows(events: 1)) }

    func decide(_ books: some Books) throws -> Outcome<Int> {
        guard let day = try books.order(order)?.number.day else { return .refused(.orderNotFound) }
        gate.wait()
        try books.appendEvent(NewEvent(kind: .paid, order: order, saleDay: day, units: [], occurredAt: noon, trace: nil)) { "\($0)" }
        return .done(1)
    }
}
