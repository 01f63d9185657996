/// A type of parameters, by its number in `pg_type`, which is the same in every server.
package enum PostgresType: UInt32, Sendable, Hashable, CaseIterable {
    case bool = 16
    case bytea = 17
    case int8 = 20
    case int2 = 21
    case int4 = 23
    case text = 25
    case float8 = 701
    case boolArray = 1000
    case byteaArray = 1001
    case textArray = 1009
    case int8Array = 1016

    /// The type's name in SQL.
    package var name: String {
        switch self {
        case .bool: "boolean"
        case .bytea: "bytea"
        case .int8: "bigint"
        case .int2: "smallint"
        case .int4: "integer"
        case .text: "text"
        case .float8: "double precision"
        case .boolArray: "boolean[]"
        case .byteaArray: "bytea[]"
        case .textArray: "text[]"
        case .int8Array: "bigint[]"
        }
    }
}
