package import Commerce
package import Logging
import Services
package import Store

extension DataFolder {
    /// Opens the folder's store, making it where it is missing. Its events carry the message of the data platform.
    ///
    /// - Parameter firstIncarnation: of a store that is made, see `StoreOptions`.
    package func openStore(
        policy: Policy = Policy(), calendar: BusinessCalendar, firstIncarnation: Int64? = nil, logger: Logger
    ) throws(StoreError) -> TransactionalStore {
        var options = StoreOptions(policy: policy, calendar: calendar, eventPayload: EventPayload.render)
        options.firstIncarnation = firstIncarnation
        return try TransactionalStore.open(path: storePath, options: options, logger: logger)
    }

    /// Opens the folder's store for reading alone, also beside a running service.
    package func openStoreForReading(calendar: BusinessCalendar, logger: Logger) throws(StoreError) -> TransactionalStore {
        var options = StoreOptions(calendar: calendar, eventPayload: EventPayload.render)
        options.isReadOnly = true
        return try TransactionalStore.open(path: storePath, options: options, logger: logger)
    }

    /// Writes the store's file anew, without the room of removed rows.
    ///
    /// - Returns: the bytes that it took before, and takes now.
    package func compactStore(calendar: BusinessCalendar) throws(StoreError) -> (before: Int64, after: Int64) {
        try StoreCompaction.run(storePath, options: StoreOptions(calendar: calendar, eventPayload: EventPayload.render))
    }
}
