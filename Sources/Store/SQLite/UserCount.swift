import Commerce
import Synchronization

/// How many users have been created; ids run from 1 to this without a gap. Only the writer's thread raises it.
final class UserCount: Sendable {
    private let newest: Atomic<Int64>

    init(_ newest: Int64 = 0) { self.newest = Atomic(newest) }

    var count: Int64 { newest.load(ordering: .acquiring) }

    /// Whether the user's creation has committed. Lock-free, because every claim asks it.
    func contains(_ id: UserID) -> Bool { id.rawValue >= 1 && id.rawValue <= count }

    /// Called after each commit that created users, before they are answered.
    func added(_ id: UserID) { newest.max(id.rawValue, ordering: .acquiringAndReleasing) }
}
