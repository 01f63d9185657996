import Commerce
import Logging
import Postgres
import PostgresStore
import Store
import TestSupport

extension TemporaryStore {
    /// Opens a store on the database. Deadlines are so long that only a hang passes them; the test server's own settings are for speed.
    static func open(
        on database: TemporaryDatabase, _ configure: (inout StoreOptions) -> Void = { _ in }
    ) throws -> TransactionalStore {
        var options = try defaultOptions()
        configure(&options)
        let server = database.server
        let host = PostgresEndpoint.Host.unix(folder: server.folder.path, port: server.port)
        var connection = PostgresConfiguration(endpoint: PostgresEndpoint(hosts: [host], user: server.role, database: database.name))
        (connection.connectTimeout, connection.addressTimeout) = (hangLimit, hangLimit)
        var configuration = PostgresStoreConfiguration(connection: connection)
        (configuration.patience, configuration.tripTimeout, configuration.lockTimeout) = (hangLimit, hangLimit, hangLimit)
        configuration.idleInTransactionTimeout = hangLimit
        configuration.allowsUnsuitableServer = true
        var silent = Logger(label: "store-tests")
        silent.logLevel = .critical
        return try TransactionalStore.open(configuration, options: options, logger: silent)
    }

    static func dump(_ database: TemporaryDatabase) throws -> String { try database.dumpOfStore() }
}
