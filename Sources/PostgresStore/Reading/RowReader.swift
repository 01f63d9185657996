import Commerce
import Postgres
import Store

/// One row of a result, whose values are read by the number of their column.
struct RowReader {
    let result: PostgresResult
    let row: Int

    func int(_ column: Int) throws -> Int64 { try result.int8(row, column) }
    func text(_ column: Int) throws -> String { try result.text(row, column) }
    func bool(_ column: Int) throws -> Bool { try result.value(row, column) }
    func bytes(_ column: Int) throws -> [UInt8] { try result.value(row, column) }
    func optionalBytes(_ column: Int) throws -> [UInt8]? { try result.value(row, column) }
    func ints(_ column: Int) throws -> [Int64] { try result.value(row, column) }
    func optionalInt(_ column: Int) throws -> Int64? { try result.optionalInt8(row, column) }
    func optionalText(_ column: Int) throws -> String? { try result.optionalText(row, column) }

    func won(_ column: Int) throws -> Won { Won(try int(column)) }
    func optionalWon(_ column: Int) throws -> Won? { try optionalInt(column).map { Won($0) } }
    func id<Entity>(_ column: Int) throws -> Identifier<Entity> { Identifier(try int(column)) }
    func optionalID<Entity>(_ column: Int) throws -> Identifier<Entity>? { try optionalInt(column).map { Identifier($0) } }

    /// An instant. One outside the representable range, which no version writes, is clamped to it: it must not end the process.
    func instant(_ column: Int) throws -> Instant { Self.instant(try int(column)) }
    func optionalInstant(_ column: Int) throws -> Instant? { try optionalInt(column).map(Self.instant) }

    private static func instant(_ milliseconds: Int64) -> Instant {
        let range = Instant.representable
        return Instant(milliseconds: min(max(milliseconds, range.lowerBound), range.upperBound))
    }

    /// A day, clamped like ``instant(_:)``.
    func day(_ column: Int) throws -> BusinessDay { BusinessDay(number: min(max(try int(column), 0), Self.lastDay)) }

    private static let lastDay = Instant.representable.upperBound / 86_400_000
}

extension PostgresResult {
    func forEachRow(_ body: (RowReader) throws -> Void) throws {
        for row in 0..<rowCount { try body(RowReader(result: self, row: row)) }
    }
}
