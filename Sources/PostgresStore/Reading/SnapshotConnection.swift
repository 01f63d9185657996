import Postgres
import Store

/// A connection that runs the queries of one snapshot after another. Only the thread of a read lane touches it.
final class SnapshotConnection: QueryRunner {
    private let configuration: PostgresStoreConfiguration
    private let server: ProvenConnection
    /// How long one query may take. An audit, which opens the store for reading alone, reads whole tables; nobody else waits for a server
    /// that is silent.
    private let queryTime: Duration
    /// That of the present snapshot.
    private var connection: PostgresConnection?
    private var dialect = QueryDialect()
    /// Whether the snapshot's first query was sent, whether it was answered, and whether the connection broke.
    private var hasBegun = false
    private var hasRead = false
    private var hasBroken = false

    /// - Parameter current: nil for a store that is opened for reading.
    init(_ lane: ReadLane, _ configuration: PostgresStoreConfiguration, on current: CurrentServer?) {
        self.configuration = configuration
        queryTime =
            switch lane {
            case .service: current == nil ? .seconds(3_600) : configuration.dutyQueryTimeout
            case .personal, .browse: configuration.tripTimeout
            }
        server = ProvenConnection(
            Self.session("\(lane.rawValue) reads", configuration), committingWithin: configuration.tripTimeout, on: current)
    }

    private static let begin = PostgresStatement(nil, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    /// Runs the body in one snapshot, which begins with its first query. Where the server has ended the session meanwhile, or can commit no
    /// more, the body runs again on a new one.
    func inSnapshot<Value>(_ body: () throws -> Value) throws -> Value {
        let isReused = server.isOpen
        do {
            return try run(body)
        } catch  where isReused && hasBroken && !hasRead {
            return try run(body)
        }
    }

    private func run<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            (hasBegun, hasRead, hasBroken) = (false, false, false)
            connection = try proven()
            let value = try body()
            try connection?.rollBack(within: configuration.tripTimeout)
            return value
        } catch {
            // A session whose transaction has failed is not worth another trip.
            server.disconnect()
            throw error
        }
    }

    private func proven() throws(PostgresError) -> PostgresConnection {
        do throws(PostgresError) {
            return try server.proven()
        } catch {
            hasBroken = true
            throw error
        }
    }

    /// Long queries are allowed, and no time-out ends a snapshot between two of them.
    private static func session(_ name: String, _ configuration: PostgresStoreConfiguration) -> PostgresConfiguration {
        var session = configuration.session(name, findsByKeys: false)
        session.session.statementTimeout = nil
        session.session.idleInTransactionTimeout = nil
        return session
    }

    func walk(_ sql: String, _ arguments: [QueryArgument], while body: (any RowColumns) throws -> Bool) throws {
        guard let connection else { throw StoreError(.internal, "a query outside of its snapshot") }
        let statement = PostgresStatement(nil, dialect(sql), types: arguments.map(\.type))
        let begins = !hasBegun
        hasBegun = true
        let results: PostgresResults
        do throws(PostgresError) {
            results = try connection.send(within: queryTime) { batch in
                if begins { batch.execute(Self.begin) }
                batch.execute(statement) { parameters in
                    for argument in arguments {
                        switch argument {
                        case .integer(let number): parameters.int8(number)
                        case .text(let text): parameters.text(text)
                        }
                    }
                }
            }
        } catch {
            hasBroken = !connection.isOpen
            if error.code == .timedOut { server.leave() }
            throw StoreError(of: error)
        }
        hasRead = true
        let rows = ResultColumns(results[begins ? 1 : 0])
        for row in 0..<rows.result.rowCount {
            rows.row = row
            let goesOn = try body(rows)
            if let error = rows.error { throw error }
            if !goesOn { return }
        }
    }

    func close() { server.close() }
}

extension QueryArgument {
    fileprivate var type: PostgresType {
        switch self {
        case .integer: .int8
        case .text: .text
        }
    }
}

/// The current row of a result. A value that is not of its reader's type is an error after the row was read.
private final class ResultColumns: RowColumns {
    let result: PostgresResult
    var row = 0
    private(set) var error: PostgresError?

    init(_ result: PostgresResult) { self.result = result }

    func int(_ index: CInt) -> Int64 {
        read(index, else: 0) { field in Int64(field) ?? Bool(field).map { $0 ? 1 : 0 } ?? (field.bytes == nil ? 0 : nil) }
    }

    func text(_ index: CInt) -> String { read(index, else: "") { field in String(field) ?? (field.bytes == nil ? "" : nil) } }

    func isNull(_ index: CInt) -> Bool { read(index, else: true) { field in field.bytes == nil } }

    func withBytes<Value>(_ index: CInt, _ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        read(index, else: body(UnsafeRawBufferPointer(start: nil, count: 0))) { field in
            field.bytes.map(body) ?? body(UnsafeRawBufferPointer(start: nil, count: 0))
        }
    }

    private func read<Value>(_ index: CInt, else missing: Value, _ value: (PostgresField) -> Value?) -> Value {
        do throws(PostgresError) {
            if let value = value(try result.field(row, Int(index))) { return value }
            error = PostgresError(.unexpectedResult, .completed, "column \(index) of a query has an unexpected type")
        } catch {
            self.error = error
        }
        return missing
    }
}
