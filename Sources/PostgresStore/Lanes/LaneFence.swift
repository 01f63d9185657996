import Postgres

/// The row by which a lane learns whether a commit took effect whose answer was lost.
///
/// A group's first trip locks the lane's row, if its generation is still the lane's, and notes the number of the group in it. The note
/// commits with the group or not at all. After a break, the lane raises the generation on a new connection: that waits for the end of the
/// old session's transaction, keeps the old session from beginning another, and returns the number of the last group that was
/// committed. Where commits wait for a standby, so does this one, and since a standby gets commits in their order, its success
/// proves that the earlier commit is on the standby too.
struct LaneFence {
    /// A random number, so that no two lanes of any instances share a row.
    let lane = Int64.random(in: 1...Int64.max)
    private var generation: Int64 = 0
    /// The number of the latest group.
    private(set) var group: Int64 = 0
    /// The number of the last group that is known to be committed, as of the latest ``take(on:within:)``.
    private(set) var committed: Int64 = 0

    private static let takeRow = PostgresStatement(
        nil,
        """
        INSERT INTO lanes (lane, generation, batch, seen_at) VALUES ($1, 1, 0, now())
        ON CONFLICT (lane) DO UPDATE SET generation = lanes.generation + 1, seen_at = now() RETURNING generation, batch
        """, .int8)
    private static let noteGroup = PostgresStatement(
        "note_group", "UPDATE lanes SET batch = $3, seen_at = now() WHERE lane = $1 AND generation = $2", .int8, .int8, .int8)
    private static let removeRow = PostgresStatement(nil, "DELETE FROM lanes WHERE lane = $1 AND generation = $2", .int8, .int8)
    /// Rows of instances that have crashed. No group is under way for so long.
    static let removeOldRows = PostgresStatement(nil, "DELETE FROM lanes WHERE seen_at < now() - interval '7 days'")

    /// Makes the connection the only one that may commit groups of the lane.
    mutating func take(on connection: PostgresConnection, within time: Duration) throws(PostgresError) {
        let results = try connection.send(within: time) { batch in
            batch.begin()
            batch.execute(Self.takeRow) { $0.int8(lane) }
            batch.commit()
        }
        generation = try results[1].value(0, 0)
        committed = try results[1].value(0, 1)
    }

    /// Begins the next group: notes it in the row, which stays locked until the group's end.
    mutating func begin(_ batch: inout PostgresBatch) {
        group += 1
        batch.execute(Self.noteGroup) {
            $0.int8(lane)
            $0.int8(generation)
            $0.int8(group)
        }
    }

    /// Whether the statement of ``begin(_:)`` has found the row with the lane's generation.
    func holds(_ result: PostgresResult) -> Bool { result.affectedRows == 1 }

    /// Whether the latest group is committed, as of the latest ``take(on:within:)``.
    var lastGroupIsCommitted: Bool { committed == group }

    /// Removes the row of a lane that ends.
    func remove(on connection: PostgresConnection, within time: Duration) throws(PostgresError) {
        _ = try connection.send(within: time) { batch in
            batch.execute(Self.removeRow) {
                $0.int8(lane)
                $0.int8(generation)
            }
        }
    }
}
