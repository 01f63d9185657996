package import Commerce
import Postgres
package import Store

/// The keys that sign the tokens of all services on one database: rows of the table `token_keys`. Blocks its callers, who are starting, or
/// rereading keys.
package struct PostgresTokenKeys: Sendable {
    /// A key of 32 bytes.
    package struct Key: Sendable, Equatable {
        package let bytes: [UInt8]
        /// The instant from which it verifies nothing any more; nil for the present key, which also signs.
        package let endsAt: Instant?

        package init(bytes: [UInt8], endsAt: Instant?) { (self.bytes, self.endsAt) = (bytes, endsAt) }
    }

    private let configuration: PostgresStoreConfiguration

    package init(_ configuration: PostgresStoreConfiguration) { self.configuration = configuration }

    /// The keys that verify at an instant, the present one first.
    ///
    /// - Parameter new: the key that becomes the present one where there is none. Of two services that make it at once, both get the same.
    package func keys(at now: Instant, makingFirst new: [UInt8]) throws(StoreError) -> [Key] {
        try withConnection { connection in
            let read = PostgresStatement(
                nil, "SELECT key, ends_at FROM token_keys WHERE ends_at IS NULL OR ends_at > $1 ORDER BY ends_at DESC NULLS FIRST", .int8)
            func keys() throws -> [Key] {
                let found = try connection.send(within: configuration.tripTimeout) { $0.execute(read) { $0.int8(now.milliseconds) } }[0]
                return try (0..<found.rowCount).map { row in
                    let reader = RowReader(result: found, row: row)
                    return Key(bytes: try reader.bytes(0), endsAt: try reader.optionalInstant(1))
                }
            }
            let known = try keys()
            if let first = known.first, first.endsAt == nil { return known }
            let insert = PostgresStatement(
                nil, "INSERT INTO token_keys (key, made_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", .bytea, .int8)
            _ = try connection.send(within: configuration.tripTimeout) { batch in
                batch.execute(insert) {
                    $0.bytea(new)
                    $0.int8(now.milliseconds)
                }
            }
            return try keys()
        }
    }

    /// Makes a new present key. The former one verifies until `end`; nil ends it at once. Former keys that have ended are removed.
    ///
    /// - Parameter mostFormer: how many former keys may be valid at a time.
    /// - Throws: `unavailable` where there are as many, or where another rotation is under way.
    package func rotate(to new: [UInt8], keepUntil end: Instant?, at now: Instant, mostFormer: Int) throws(StoreError) {
        try withConnection { connection in
            let remove = PostgresStatement(nil, "DELETE FROM token_keys WHERE ends_at <= $1", .int8)
            let keep = PostgresStatement(nil, "UPDATE token_keys SET ends_at = $1 WHERE ends_at IS NULL", .int8)
            let count = PostgresStatement(nil, "SELECT count(*) FROM token_keys")
            let insert = PostgresStatement(nil, "INSERT INTO token_keys (key, made_at) VALUES ($1, $2)", .bytea, .int8)
            let found = try connection.send(within: configuration.tripTimeout) { batch in
                batch.begin()
                batch.execute(keep) { $0.int8(end?.milliseconds ?? now.milliseconds) }
                batch.execute(remove) { $0.int8(now.milliseconds) }
                batch.execute(count)
            }
            guard try found[3].value(0, 0, as: Int64.self) <= mostFormer else {
                try connection.rollBack(within: configuration.tripTimeout)
                throw StoreError(.unavailable, "\(mostFormer) former keys are still valid; wait until one has ended")
            }
            do {
                _ = try connection.send(within: configuration.tripTimeout) { batch in
                    batch.execute(insert) {
                        $0.bytea(new)
                        $0.int8(now.milliseconds)
                    }
                    batch.commit()
                }
            } catch let error as PostgresError where error.kind == .uniqueViolation {
                throw StoreError(.unavailable, "another rotation of the keys was under way; look at them before you rotate again")
            }
        }
    }

    private func withConnection<Value>(_ body: (PostgresConnection) throws -> Value) throws(StoreError) -> Value {
        do {
            let connection = try PostgresConnection.open(configuration.session("keys"))
            defer { connection.close() }
            _ = try PostgresSchema.identity(of: connection, within: configuration.tripTimeout)
            return try body(connection)
        } catch {
            throw StoreError(of: error)
        }
    }
}
