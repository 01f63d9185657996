import Commerce
import Foundation
import Logging
import Postgres
import Store
import Synchronization
import TestSupport
import Testing

@testable import PostgresStore

/// A database of its own on the server that all tests of a process share, gone with this object; and stores on it.
final class PostgresHome: Sendable {
    let server: TemporaryPostgres
    let database: String
    private let stores = Mutex<[TransactionalStore]>([])

    private static let databases = Mutex(0)

    private init(_ server: TemporaryPostgres, _ database: String) { (self.server, self.database) = (server, database) }

    /// Makes the database, runs `body` beside Swift's pool, and removes the database.
    static func with<Result: Sendable>(_ body: @escaping @Sendable (PostgresHome) async throws -> Result) async throws -> Result {
        let shared = try await TemporaryPostgres.shared()
        return try await besidePool {
            let number = databases.withLock { count in
                count += 1
                return count
            }
            let home = PostgresHome(shared.server, "store_\(number)")
            try shared.server.sql("CREATE DATABASE \(home.database) TEMPLATE template0")
            defer { home.remove() }
            return try await body(home)
        }
    }

    private func remove() {
        for store in stores.withLock({ $0 }) { store.close() }
        do {
            try server.sql("DROP DATABASE \(database) WITH (FORCE)")
        } catch {
            Issue.record("the database stays: \(error)")
        }
    }

    /// The server's settings are for speed, and deadlines so long that only a hang passes them.
    func configuration(_ endpoint: PostgresEndpoint? = nil) -> PostgresStoreConfiguration {
        let host = PostgresEndpoint.Host.unix(folder: server.folder.path, port: server.port)
        let own = PostgresEndpoint(hosts: [host], user: server.role, database: database)
        var connection = PostgresConfiguration(endpoint: endpoint ?? own)
        (connection.connectTimeout, connection.addressTimeout) = (hangLimit, hangLimit)
        var configuration = PostgresStoreConfiguration(connection: connection)
        (configuration.patience, configuration.tripTimeout, configuration.lockTimeout) = (hangLimit, hangLimit, hangLimit)
        configuration.idleInTransactionTimeout = hangLimit
        configuration.allowsUnsuitableServer = true
        return configuration
    }

    /// Opens a store, which is closed with the home.
    func open(
        _ configuration: PostgresStoreConfiguration? = nil, _ configure: (inout StoreOptions) -> Void = { _ in }
    ) throws -> TransactionalStore {
        var options = try Self.options()
        configure(&options)
        var logger = Logger(label: "postgres-store-tests")
        logger.logLevel = .critical
        let store = try TransactionalStore.open(configuration ?? self.configuration(), options: options, logger: logger)
        stores.withLock { $0.append(store) }
        return store
    }

    static func options() throws -> StoreOptions {
        let calendar = try #require(BusinessCalendar(timeZoneIdentifier: "Asia/Seoul"))
        var options = StoreOptions(calendar: calendar) { facts in "\(facts.id) \(facts.kind.rawValue) order \(facts.order.number)" }
        options.firstIncarnation = 0
        return options
    }

    /// Runs a statement by psql.
    @discardableResult
    func sql(_ statement: String) throws -> String { try server.sql(statement, in: database) }
}

/// 2026-11-20T03:00:00Z: noon in Seoul.
let noon = Instant(milliseconds: 1_795_143_600_000)

struct NotDone: Error {
    let result: String
}

extension WriteResult {
    var value: Value {
        get throws {
            guard case .done(let value) = self else { throw NotDone(result: "\(self)") }
            return value
        }
    }

    var isDone: Bool { if case .done = self { true } else { false } }
}
