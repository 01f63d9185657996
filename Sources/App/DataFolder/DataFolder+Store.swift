package import Commerce
package import Logging
import Services
package import Store

extension DataFolder {
    /// Opens the folder's store, or makes it where it is missing.
    ///
    /// - Parameter firstIncarnation: the incarnation of a new store, see `StoreOptions`.
    package func openStore(
        policy: Policy = Policy(), calendar: BusinessCalendar, firstIncarnation: Int64? = nil, logger: Logger
    ) throws(StoreError) -> TransactionalStore {
        var options = StoreOptions(policy: policy, calendar: calendar, eventPayload: EventPayload.render)
        options.firstIncarnation = firstIncarnation
        return try TransactionalStore.open(path: storePath, options: options, logger: logger)
    }

    /// Opens the folder's store for reading only, also beside a running service.
    package func openStoreForReading(calendar: BusinessCalendar, logger: Logger) throws(StoreError) -> TransactionalStore {
        var options = StoreOptions(calendar: calendar, eventPayload: EventPayload.render)
        options.isReadOnly = true
        return try TransactionalStore.open(path: storePath, options: options, logger: logger)
    }

    /// Rewrites the store's file without the space of removed rows.
    ///
    /// - Returns: the size of the file before and after, in bytes.
    package func compactStore(calendar: BusinessCalendar) throws(StoreError) -> (before: Int64, after: Int64) {
        try StoreCompaction.run(storePath, options: StoreOptions(calendar: calendar, eventPayload: EventPayload.render))
    }
}
