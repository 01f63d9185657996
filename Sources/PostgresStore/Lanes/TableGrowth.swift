import Postgres
import Synchronization

/// Says when sessions have to plan their statements again: when a table has twice as many rows of this instance as before.
///
/// The server plans by the size that a table has then, and keeps the plan until it analyzes the table, up to a minute later. It would read
/// a whole index for each key of a table that was empty, however large the table has become meanwhile.
final class TableGrowth: Sendable {
    private struct Size {
        var rows = 0
        /// At how many rows statements are planned again. Below the first limit a session keeps its plan: reading so few rows costs little.
        var limit = 64
    }

    private let sizes = Mutex<[Size]>([])
    private let newest = Atomic(0)

    /// Rises when plans are outdated.
    var generation: Int { newest.load(ordering: .relaxed) }

    /// Notes rows that were added.
    ///
    /// - Parameter counts: one for each table, always in the same order.
    func added(_ counts: [Int]) {
        let hasGrown = sizes.withLock { sizes in
            if sizes.isEmpty { sizes = counts.map { _ in Size() } }
            var hasGrown = false
            for (index, rows) in counts.enumerated() {
                sizes[index].rows += rows
                while sizes[index].rows >= sizes[index].limit {
                    sizes[index].limit *= 2
                    hasGrown = true
                }
            }
            return hasGrown
        }
        if hasGrown { newest.add(1, ordering: .relaxed) }
    }
}

/// The plans of one session.
struct SessionPlans {
    /// For which sizes of the tables they were made.
    private var generation = 0

    private static let discard = PostgresStatement(nil, "DISCARD PLANS")

    /// Adds a statement that has the later ones planned again, where plans are outdated, and returns what they are made for.
    func renew(_ batch: inout PostgresBatch, by growth: TableGrowth) -> Int {
        let newest = growth.generation
        if newest != generation { batch.execute(Self.discard) }
        return newest
    }

    /// Notes that the server has run the trip.
    mutating func renewed(to generation: Int) { self.generation = generation }
}
