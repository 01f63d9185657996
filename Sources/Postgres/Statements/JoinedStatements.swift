/// Makes one statement of several that change rows: each but the last becomes a part of its `WITH` clause.
///
/// The server then receives, plans and starts one statement instead of several, which costs less where each changes few rows. It runs
/// all parts to their end, in no order that it promises, and each sees the rows as they were before all of them (PostgreSQL's manual,
/// "Data-Modifying Statements in WITH").
struct JoinedStatements {
    /// A session keeps the plan of each statement that it has prepared, so there may be so many at most. One of seven tables takes 170 KB of
    /// the server's memory (PostgreSQL 15).
    private static let limit = 64

    private struct Joined {
        let statement: PostgresStatement
        /// Kept, so that no other statement gets the identity of one of them.
        let parts: [PostgresStatement]
    }

    private var made: [[ObjectIdentifier]: Joined] = [:]

    /// The statement that does what these do; nil where there are too many already.
    mutating func statement(of parts: [PostgresStatement]) -> PostgresStatement? {
        if parts.count == 1 { return parts[0] }
        let key = parts.map { ObjectIdentifier($0) }
        if let known = made[key] { return known.statement }
        if made.count == Self.limit { return nil }
        let statement = Self.join(parts, name: "joined_\(made.count + 1)")
        made[key] = Joined(statement: statement, parts: parts)
        return statement
    }

    private static func join(_ parts: [PostgresStatement], name: String) -> PostgresStatement {
        var types: [PostgresType] = []
        var texts: [String] = []
        for part in parts {
            texts.append(numbered(part.sql, from: types.count))
            types += part.parameters
        }
        let others = texts.dropLast().enumerated().map { "part_\($0.offset + 1) AS (\($0.element))" }
        return PostgresStatement(name, "WITH \(others.joined(separator: ",\n"))\n\(texts[texts.count - 1])", types: types)
    }

    /// The statement with `$1` as the parameter after so many others.
    private static func numbered(_ sql: String, from count: Int) -> String {
        sql.replacing(/\$([0-9]+)/) { "$\(count + (Int($0.output.1) ?? 0))" }
    }
}
