package import Commerce
import GRDB

/// A value that a query of any engine takes: numbers and texts.
package enum QueryArgument: Sendable {
    case integer(Int64)
    case text(String)
}

/// What queries take as arguments.
protocol QueryValue: StatementBinding {
    var argument: QueryArgument { get }
}

extension Int64: QueryValue { var argument: QueryArgument { .integer(self) } }
extension Int: QueryValue { var argument: QueryArgument { .integer(Int64(self)) } }
extension String: QueryValue { var argument: QueryArgument { .text(self) } }
extension Won: QueryValue { var argument: QueryArgument { .integer(rawValue) } }
extension Instant: QueryValue { var argument: QueryArgument { .integer(milliseconds) } }
extension BusinessDay: QueryValue { var argument: QueryArgument { .integer(number) } }
extension Identifier: QueryValue { var argument: QueryArgument { .integer(rawValue) } }

/// The columns of one row of a query, by their numbers.
package protocol RowColumns {
    /// A whole number, or a truth value as 0 or 1; 0 for NULL.
    func int(_ index: CInt) -> Int64
    /// A text; an empty one for NULL.
    func text(_ index: CInt) -> String
    func isNull(_ index: CInt) -> Bool
    /// Calls the body with the bytes of a blob, which are valid inside it; none for NULL.
    func withBytes<Value>(_ index: CInt, _ body: (UnsafeRawBufferPointer) -> Value) -> Value
}

extension RowColumns {
    func bytes(_ index: CInt) -> [UInt8] { withBytes(index) { Array($0) } }
    func bool(_ index: CInt) -> Bool { int(index) != 0 }
    func won(_ index: CInt) -> Won { Won(int(index)) }
    /// An instant. One outside the representable range, which no version writes, is clamped to it: it must not end the process.
    func instant(_ index: CInt) -> Instant {
        let range = Instant.representable
        return Instant(milliseconds: min(max(int(index), range.lowerBound), range.upperBound))
    }

    /// A day, clamped like ``instant(_:)``.
    func day(_ index: CInt) -> BusinessDay { BusinessDay(number: min(max(int(index), 0), Instant.representable.upperBound / 86_400_000)) }
    func id<Entity>(_ index: CInt) -> Identifier<Entity> { Identifier(int(index)) }

    func optionalText(_ index: CInt) -> String? { isNull(index) ? nil : text(index) }
    func optionalWon(_ index: CInt) -> Won? { isNull(index) ? nil : won(index) }
    func optionalInstant(_ index: CInt) -> Instant? { isNull(index) ? nil : instant(index) }
    func optionalID<Entity>(_ index: CInt) -> Identifier<Entity>? { isNull(index) ? nil : id(index) }
}

/// An engine's own connection in one snapshot. Queries are in SQLite's words; the engine puts them into its own.
package protocol QueryRunner: AnyObject {
    /// Runs a query and calls the body with its rows until it returns false.
    func walk(_ sql: String, _ arguments: [QueryArgument], while body: (any RowColumns) throws -> Bool) throws
}

/// A row of a query of any engine; valid only inside the closure that receives it.
struct QueryRow: RowColumns {
    enum Source {
        case sqlite(Columns)
        case other(any RowColumns)
    }

    let source: Source

    func int(_ index: CInt) -> Int64 {
        switch source {
        case .sqlite(let columns): columns.int(index)
        case .other(let columns): columns.int(index)
        }
    }

    func text(_ index: CInt) -> String {
        switch source {
        case .sqlite(let columns): columns.text(index)
        case .other(let columns): columns.text(index)
        }
    }

    func isNull(_ index: CInt) -> Bool {
        switch source {
        case .sqlite(let columns): columns.isNull(index)
        case .other(let columns): columns.isNull(index)
        }
    }

    func withBytes<Value>(_ index: CInt, _ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        switch source {
        case .sqlite(let columns): columns.withBytes(index, body)
        case .other(let columns): columns.withBytes(index, body)
        }
    }
}

/// A connection of any engine in one snapshot: what lists, snapshots and the audit read through.
package struct QueryConnection {
    enum Source {
        case sqlite(Database)
        case other(any QueryRunner)
    }

    let source: Source

    /// Nil for another engine.
    var sqlite: Database? {
        if case .sqlite(let db) = source { db } else { nil }
    }

    /// The column of `events` that counts committed events without a gap.
    var eventNumber: String { sqlite == nil ? "place" : "id" }

    /// The first row that a query gives, `nil` when it gives none.
    func first<Value, each Argument: QueryValue>(
        _ sql: String, _ arguments: repeat each Argument, read: (QueryRow) throws -> Value
    ) throws -> Value? {
        switch source {
        case .sqlite(let db): return try db.first(sql, repeat each arguments) { try read(QueryRow(source: .sqlite($0))) }
        case .other(let runner):
            var value: Value?
            try runner.walk(sql, Self.list(repeat each arguments)) { row in
                value = try read(QueryRow(source: .other(row)))
                return false
            }
            return value
        }
    }

    /// All rows that a query gives.
    func all<Value, each Argument: QueryValue>(
        _ sql: String, _ arguments: repeat each Argument, read: (QueryRow) throws -> Value
    ) throws -> [Value] {
        switch source {
        case .sqlite(let db): return try db.all(sql, repeat each arguments) { try read(QueryRow(source: .sqlite($0))) }
        case .other(let runner):
            var values: [Value] = []
            try runner.walk(sql, Self.list(repeat each arguments)) { row in
                values.append(try read(QueryRow(source: .other(row))))
                return true
            }
            return values
        }
    }

    /// Calls the body with each row that a query gives, without collecting them.
    func forEach<each Argument: QueryValue>(
        _ sql: String, _ arguments: repeat each Argument, body: (QueryRow) throws -> Void
    ) throws {
        switch source {
        case .sqlite(let db): try db.forEach(sql, repeat each arguments) { try body(QueryRow(source: .sqlite($0))) }
        case .other(let runner):
            try runner.walk(sql, Self.list(repeat each arguments)) { row in
                try body(QueryRow(source: .other(row)))
                return true
            }
        }
    }

    /// The one integer of a query that always gives one row.
    func integer<each Argument: QueryValue>(_ sql: String, _ arguments: repeat each Argument) throws -> Int64 {
        try first(sql, repeat each arguments) { $0.int(0) } ?? 0
    }

    private static func list<each Argument: QueryValue>(_ arguments: repeat each Argument) -> [QueryArgument] {
        var list: [QueryArgument] = []
        for argument in repeat each arguments { list.append(argument.argument) }
        return list
    }
}

// MARK: - Rows that lists and books read

extension QueryConnection {
    func lines(of id: OrderID) throws -> [OrderLine] {
        Database.inOrder(try all(Database.linesOfOrder, id) { try Database.line($0) })
    }

    /// The number of the newest event; before the first event of this incarnation, the incarnation's base.
    func lastEventID(base: Int64) throws -> EventID {
        EventID(max(try integer("SELECT max(\(eventNumber)) FROM events"), base))
    }

    /// The greatest id of an event.
    func newestEvent() throws -> EventID { EventID(try integer("SELECT max(id) FROM events")) }

    func prunedEvents() throws -> PrunedEvents {
        try first(Database.prunedEventsQuery, read: Database.prunedEvents) ?? PrunedEvents(through: EventID(0), payments: 0, refunds: 0)
    }

    func identity() throws -> StoreIdentity {
        let found = try first(Database.identityQuery, read: Database.identity)
        guard let found else { throw StoreError(.corrupt, "the store has no identity") }
        return found
    }

    /// Events with their units; `condition` is everything after FROM.
    func events<each Argument: QueryValue>(_ condition: String, _ arguments: repeat each Argument) throws -> [EventRecord] {
        let rows = try all("SELECT \(Database.eventColumns) FROM events \(condition)", repeat each arguments, read: Database.eventRow)
        return try rows.map { record in
            record.with(units: try all(Database.unitsByEvent, record.event.id) { ProductUnits(productID: $0.id(0), units: $0.int(1)) })
        }
    }
}
