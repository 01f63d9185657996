import Commerce
import Foundation
import GRDB

/// Which store this is: a random id that was made with it, and its incarnation, which rises with every restore.
///
/// A restored backup continues from an older state than the one that Redis and the data platform have seen. So all that they keep carries
/// this pair or an event id, and no two incarnations use the same event id.
package struct StoreIdentity: Sendable, Hashable, CustomStringConvertible {
    package let store: String
    /// The Unix time in milliseconds at which the incarnation began; 0 for a store that was made before there were incarnations.
    package let incarnation: Int64
    /// All event ids of the incarnation are greater than this one.
    package let eventBase: Int64

    /// Event ids reserved for each millisecond: at up to 100,000 events a second on average, no id reaches the base of a later
    /// incarnation. Ids stay within 15 digits until the year 2286; whole numbers of that size are exact in Lua and in JSON.
    package static let eventsPerMillisecond: Int64 = 100
    /// The greatest incarnation whose events have ids of 15 digits.
    static let greatestIncarnation: Int64 = 9_999_999_999_999

    /// The number of an incarnation that begins now: greater than `known`, and with event ids greater than `lastEvent`.
    static func nextIncarnation(after known: Int64, lastEvent: Int64) throws(StoreError) -> Int64 {
        let next = max(now, known + 1, lastEvent / eventsPerMillisecond + 1)
        guard next <= greatestIncarnation else { throw StoreError(.internal, "there is no room for another incarnation of the store") }
        return next
    }

    package static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }

    /// As stored in Redis: the store's id, a colon and the incarnation.
    package var description: String { "\(store):\(incarnation)" }

    package init(store: String, incarnation: Int64, eventBase: Int64) {
        (self.store, self.incarnation, self.eventBase) = (store, incarnation, eventBase)
    }

    /// The identity as a text for operators.
    package var words: String { Self.words(description) }

    /// A text for operators, made from an identity's ``description``; the quoted argument where it is none.
    package static func words(_ text: String) -> String {
        let parts = text.split(separator: ":")
        guard parts.count == 2, let incarnation = Int64(parts[1]) else { return "\"\(text.prefix(80))\"" }
        guard incarnation > 0 else { return "store \(parts[0])" }
        return "store \(parts[0]), incarnation \(incarnation) (\(Instant(milliseconds: incarnation)))"
    }
}

extension Database {
    static let identityQuery = "SELECT i.store, n.number, n.event_base FROM identity i, incarnations n ORDER BY n.number DESC LIMIT 1"

    static func identity(_ row: some RowColumns) -> StoreIdentity {
        StoreIdentity(store: row.text(0), incarnation: row.int(1), eventBase: row.int(2))
    }

    /// The store's identity.
    ///
    /// Throws `corrupt` where the migrated store has none.
    func identity() throws -> StoreIdentity {
        let found = try first(Self.identityQuery, read: Self.identity)
        guard let found else { throw StoreError(.corrupt, "the store has no identity") }
        return found
    }

    /// Gives a store without an identity its id and first incarnation. A store that was used before gets incarnation 0, whose event ids
    /// count from 1.
    func makeIdentity(firstIncarnation: Int64?) throws {
        let isUsed =
            try integer(
                "SELECT EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM products) OR EXISTS (SELECT 1 FROM campaigns)") != 0
        try run("INSERT INTO identity (id, store) VALUES (1, lower(hex(randomblob(8))))")
        try beginIncarnation(isUsed ? 0 : firstIncarnation ?? StoreIdentity.now)
    }

    func beginIncarnation(_ number: Int64) throws {
        try run(
            "INSERT INTO incarnations (number, event_base) VALUES (?, ?)", number, number * StoreIdentity.eventsPerMillisecond)
    }
}
