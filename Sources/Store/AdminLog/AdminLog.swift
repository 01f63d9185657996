package import Commerce

/// What an admin did, and to what.
package struct AdminAction: Sendable, Equatable {
    /// The kind of action, such as `product.update`.
    package let name: String
    /// What it was done to, such as `product:9`.
    package let object: String
    /// A JSON object: what was asked for and, where something was changed, the values before and after.
    package let details: String

    package init(_ name: String, on object: String, details: String) {
        (self.name, self.object, self.details) = (name, object, details)
    }
}

/// How an admin's action is logged: its entry is written in the transaction that makes the action, so there is none without the other.
///
/// Boxed, because few writes are logged: without a log, the place for it costs a write one word.
package final class AdminLog<Value: Sendable>: Sendable {
    /// The `sub` of the admin's token.
    package let actor: String
    /// The id of the request that asked for the action.
    package let requestID: String?
    /// The service's time when the request began.
    package let time: Instant
    /// Describes the action; nil where it changed nothing. Called inside the transaction, and once more when its group has to be repeated.
    private let describe: @Sendable (Value) -> AdminAction?

    package init(
        actor: String, requestID: String?, at time: Instant, describe: @escaping @Sendable (Value) -> AdminAction?
    ) {
        (self.actor, self.requestID, self.time, self.describe) = (actor, requestID, time, describe)
    }

    /// The same log for a value that another is made of.
    func of<Other: Sendable>(_ value: @escaping @Sendable (Other) -> Value?) -> AdminLog<Other> {
        AdminLog<Other>(actor: actor, requestID: requestID, at: time) { [describe] other in value(other).flatMap(describe) }
    }

    func entry(of value: Value) -> NewAdminLogEntry? {
        describe(value).map { NewAdminLogEntry(at: time, actor: actor, action: $0, requestID: requestID) }
    }
}

/// An entry that is to be appended to the admin log; the engine gives it the next id.
package struct NewAdminLogEntry: Sendable, Equatable {
    package let at: Instant
    package let actor: String
    package let action: AdminAction
    package let requestID: String?
}

/// A use case that appends an entry to the admin log where it succeeds.
struct Logged<Case: UseCase>: UseCase {
    let useCase: Case
    let log: AdminLog<Case.Value>

    var weight: Int { useCase.weight }

    var needs: Needs {
        var needs = useCase.needs
        needs.new.adminLogEntries += 1
        return needs
    }

    func decide(_ books: some Books) throws -> Outcome<Case.Value> {
        let outcome = try useCase.decide(books)
        if case .done(let value) = outcome, let entry = log.entry(of: value) { try books.append(entry) }
        return outcome
    }
}

/// A row before and after a change.
package struct Changed<Row: Sendable>: Sendable {
    package let old: Row
    package let new: Row
}
