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
    let database: TemporaryDatabase
    private let stores = Mutex<[TransactionalStore]>([])

    var server: TemporaryPostgres { database.server }

    private init(_ database: TemporaryDatabase) { self.database = database }

    /// Makes the database, runs `body` beside Swift's pool, and removes the database.
    static func with<Result: Sendable>(_ body: @escaping @Sendable (PostgresHome) async throws -> Result) async throws -> Result {
        let shared = try await TemporaryPostgres.shared()
        return try await besidePool {
            let home = PostgresHome(try shared.makeDatabase())
            defer { home.remove() }
            return try await body(home)
        }
    }

    /// On a server of its own, whose settings the test may change.
    static func onOwnServer<Result: Sendable>(
        _ body: @escaping @Sendable (PostgresHome) async throws -> Result
    ) async throws -> Result {
        try await besidePool {
            let server = try TemporaryPostgres()
            defer { server.end() }
            let home = PostgresHome(TemporaryDatabase(server: server, name: "store"))
            try server.sql("CREATE DATABASE store TEMPLATE template0")
            defer { home.close() }
            return try await body(home)
        }
    }

    /// On a primary of its own that has a synchronous standby.
    static func onPair<Result: Sendable>(
        settings: [String: String] = [:], _ body: @escaping @Sendable (PostgresHome, PostgresPair) async throws -> Result
    ) async throws -> Result {
        try await besidePool {
            let pair = try PostgresPair(settings: settings)
            defer { pair.end() }
            let home = PostgresHome(TemporaryDatabase(server: pair.primary, name: pair.database))
            defer { home.close() }
            try await eventually("commits wait for the standby") { try pair.isSynchronous }
            return try await body(home, pair)
        }
    }

    private func close() { for store in stores.withLock({ $0 }) { store.close() } }

    private func remove() {
        close()
        do {
            try database.remove()
        } catch {
            Issue.record("the database stays: \(error)")
        }
    }

    /// Runs `body` with a proxy before the server, and a configuration that connects through it.
    func withProxy(_ body: (FaultProxy, PostgresStoreConfiguration) async throws -> Void) async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let proxy = try await FaultProxy(to: socket, in: folder.path)
        // libpq finds a socket by its folder and port.
        symlink(proxy.socketPath, folder.path + "/.s.PGSQL.5432")
        let endpoint = PostgresEndpoint(hosts: [.unix(folder: folder.path, port: 5432)], user: server.role, database: database.name)
        try await body(proxy, configuration(endpoint))
        try await proxy.close()
    }

    /// The path of the server's socket.
    var socket: String { "\(server.folder.path)/.s.PGSQL.\(server.port)" }

    /// The server's settings are for speed, and deadlines so long that only a hang passes them.
    func configuration(_ endpoint: PostgresEndpoint? = nil) -> PostgresStoreConfiguration {
        let host = PostgresEndpoint.Host.unix(folder: server.folder.path, port: server.port)
        let own = PostgresEndpoint(hosts: [host], user: server.role, database: database.name)
        var connection = PostgresConfiguration(endpoint: endpoint ?? own)
        (connection.connectTimeout, connection.addressTimeout) = (hangLimit, hangLimit)
        var configuration = PostgresStoreConfiguration(connection: connection)
        (configuration.patience, configuration.tripTimeout, configuration.lockTimeout) = (hangLimit, hangLimit, hangLimit)
        (configuration.idleInTransactionTimeout, configuration.longestDutyTrip) = (hangLimit, hangLimit)
        configuration.allowsUnsuitableServer = true
        return configuration
    }

    /// Opens a store, which is closed with the home.
    func open(
        _ configuration: PostgresStoreConfiguration? = nil, logger: Logger? = nil, _ configure: (inout StoreOptions) -> Void = { _ in }
    ) throws -> TransactionalStore { try openEngine(configuration, logger: logger, configure).store }

    /// Opens a store, and returns its engine too.
    func openEngine(
        _ configuration: PostgresStoreConfiguration? = nil, logger: Logger? = nil, _ configure: (inout StoreOptions) -> Void = { _ in }
    ) throws -> (store: TransactionalStore, engine: PostgresEngine) {
        var options = try Self.options()
        configure(&options)
        var silent = Logger(label: "postgres-store-tests")
        silent.logLevel = .critical
        let engine = try PostgresEngine(configuration ?? self.configuration(), options: options, logger: logger ?? silent)
        let store = TransactionalStore(engine: engine, identity: engine.identity, options: options)
        stores.withLock { $0.append(store) }
        return (store, engine)
    }

    static func options() throws -> StoreOptions {
        let calendar = try #require(BusinessCalendar(timeZoneIdentifier: "Asia/Seoul"))
        var options = StoreOptions(calendar: calendar) { facts in "\(facts.id) \(facts.kind.rawValue) order \(facts.order.number)" }
        options.firstIncarnation = 0
        return options
    }

    /// Runs a statement by psql.
    @discardableResult
    func sql(_ statement: String) throws -> String { try database.sql(statement) }
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
