import Postgres
import PostgresStore
import TestSupport
import Testing

/// What keeps the store of the services that a test starts.
enum Engine: Sendable {
    case sqlite
    case postgres

    @TaskLocal static var current = Engine.sqlite
    /// The database of services that a test starts by `LiveService.start(in:)`, one after the other, on PostgreSQL.
    @TaskLocal static var database: TemporaryDatabase?
}

/// Runs each test of a suite on SQLite and on PostgreSQL, unless ``PostgresExceptions`` names it.
struct EveryEngine: SuiteTrait, TestTrait, TestScoping {
    /// Not the suite runs twice: each of its tests does.
    var isRecursive: Bool { true }

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        try await function()
        guard PostgresExceptions.reason(for: test) == nil else { return }
        do {
            try await withDatabase { database in
                try await Engine.$current.withValue(.postgres) {
                    try await Engine.$database.withValue(database) { try await function() }
                }
            }
        } catch {
            Issue.record("on PostgreSQL: \(error)")
            throw error
        }
    }
}

extension Trait where Self == EveryEngine {
    static var everyEngine: Self { Self() }
}

/// The tests of suites with the trait `.everyEngine` that do not run on PostgreSQL.
enum PostgresExceptions {
    private static let reasons = [
        "IdempotencyTests.inUse": "it holds SQLite's write lock; GroupTests and SeveralWritersTests hold rows of PostgreSQL"
    ]

    /// Why the test does not run on PostgreSQL; nil for one that does.
    static func reason(for test: Test) -> String? {
        let suite = test.sourceLocation.fileName.split(separator: ".").first ?? ""
        return reasons["\(suite).\(test.name.prefix { $0 != "(" })"]
    }
}

/// Runs `body` with a database of its own on the server that all tests of the process share, and removes it.
func withDatabase<Value: Sendable>(
    isolation: isolated (any Actor)? = #isolation, _ body: (TemporaryDatabase) async throws -> Value
) async throws -> Value {
    let shared = try await TemporaryPostgres.shared()
    let database = try await offPool { try shared.makeDatabase() }
    do {
        let value = try await body(database)
        try await offPool { try database.remove() }
        return value
    } catch {
        try? await offPool { try database.remove() }
        throw error
    }
}

extension PostgresStoreConfiguration {
    /// The server's settings are for speed, and deadlines so long that only a hang passes them.
    init(on database: TemporaryDatabase) {
        let server = database.server
        let host = PostgresEndpoint.Host.unix(folder: server.folder.path, port: server.port)
        var connection = PostgresConfiguration(
            endpoint: PostgresEndpoint(hosts: [host], user: server.role, database: database.name))
        (connection.connectTimeout, connection.addressTimeout) = (hangLimit, hangLimit)
        self.init(connection: connection)
        (patience, tripTimeout, lockTimeout, idleInTransactionTimeout) = (hangLimit, hangLimit, hangLimit, hangLimit)
        allowsUnsuitableServer = true
    }
}
