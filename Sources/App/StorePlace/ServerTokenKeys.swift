package import API
package import Commerce
package import PostgresStore
import Store

/// The token keys of a store on a PostgreSQL server, which all services on it share.
package struct ServerTokenKeys: TokenKeyPlace {
    private let table: PostgresTokenKeys

    package init(_ table: PostgresTokenKeys) { self.table = table }

    package var name: String { "the store" }

    package func keys(at now: Instant) throws -> [PlacedTokenKey] {
        try table.keys(at: now, makingFirst: TokenKey.newBytes()).prefix(1 + TokenKey.mostFormer).map { key in
            guard key.bytes.count == TokenKey.length else {
                throw CommandError("a token key of the store has \(key.bytes.count) bytes, and \(TokenKey.length) are needed")
            }
            return PlacedTokenKey(TokenKey(bytes: key.bytes), endsAt: key.endsAt)
        }
    }

    /// Makes a new key. The present one stays valid until an instant; nil ends it at once.
    package func rotate(keepUntil end: Instant?, at now: Instant) throws {
        try table.rotate(to: TokenKey.newBytes(), keepUntil: end, at: now, mostFormer: TokenKey.mostFormer)
    }
}
