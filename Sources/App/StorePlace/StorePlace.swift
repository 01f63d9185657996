package import API
package import Commerce
package import Logging
import Postgres
package import PostgresStore
import Services
package import Store

/// Where a store is: in the file of a data folder, or on a PostgreSQL server that several services may share.
package enum StorePlace: Sendable {
    case folder(DataFolder)
    case server(PostgresStoreConfiguration)

    /// The place for operators, without a password.
    package var description: String {
        switch self {
        case .folder(let folder): folder.path
        case .server(let server): server.connection.endpoint.description
        }
    }

    /// Opens the store, or makes it where it is missing. Blocks until then.
    ///
    /// - Parameter firstIncarnation: the incarnation of a new store, see `StoreOptions`.
    package func open(
        policy: Policy = Policy(), calendar: BusinessCalendar, firstIncarnation: Int64? = nil, logger: Logger
    ) throws -> TransactionalStore {
        switch self {
        case .folder(let folder):
            return try folder.openStore(policy: policy, calendar: calendar, firstIncarnation: firstIncarnation, logger: logger)
        case .server(let server):
            var options = StoreOptions(policy: policy, calendar: calendar, eventPayload: EventPayload.render)
            options.firstIncarnation = firstIncarnation
            return try TransactionalStore.open(server, options: options, logger: logger)
        }
    }

    /// Opens the store for reading only, also beside running services.
    package func openForReading(calendar: BusinessCalendar, logger: Logger) throws -> TransactionalStore {
        switch self {
        case .folder(let folder): return try folder.openStoreForReading(calendar: calendar, logger: logger)
        case .server(let server):
            var options = StoreOptions(calendar: calendar, eventPayload: EventPayload.render)
            options.isReadOnly = true
            return try TransactionalStore.open(server, options: options, logger: logger)
        }
    }

    /// Where the keys are that sign the tokens of the store's services.
    package var tokenKeys: any TokenKeyPlace {
        switch self {
        case .folder(let folder): FolderTokenKeys(in: folder.path)
        case .server(let server): ServerTokenKeys(PostgresTokenKeys(server))
        }
    }
}
