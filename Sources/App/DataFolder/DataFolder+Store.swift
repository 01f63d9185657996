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
    ) throws -> TransactionalStore {
        var options = StoreOptions(policy: policy, calendar: calendar, eventPayload: EventPayload.render)
        options.firstIncarnation = firstIncarnation
        return try open(options, logger: logger)
    }

    /// Opens the folder's store for reading only, also beside a running service.
    package func openStoreForReading(calendar: BusinessCalendar, logger: Logger) throws -> TransactionalStore {
        var options = StoreOptions(calendar: calendar, eventPayload: EventPayload.render)
        options.isReadOnly = true
        return try open(options, logger: logger)
    }

    private func open(_ options: StoreOptions, logger: Logger) throws -> TransactionalStore {
        try checkStoreAccess()
        do {
            return try TransactionalStore.open(path: storePath, options: options, logger: logger)
        } catch {
            throw CommandError("\(error.message)\(advice(on: error))")
        }
    }

    /// What to do where the store cannot be opened.
    private func advice(on error: StoreError) -> String {
        switch error.code {
        case .corrupt:
            ": \(storePath); put a backup in its place by firstcome restore --data \(path) FILE, or name another folder by --data"
        case .newerVersion: ": \(storePath)"
        case .unavailable where error.message.contains("full"): "; free room on it: df \(path)"
        case .unavailable, .overloaded, .malformedRow, .closed, .readOnly, .invalidCursor, .cancelled, .unknownOutcome, .internal: ""
        }
    }

    /// Rewrites the store's file without the space of removed rows.
    ///
    /// - Returns: the size of the file before and after, in bytes.
    package func compactStore(calendar: BusinessCalendar) throws(StoreError) -> (before: Int64, after: Int64) {
        try StoreCompaction.run(storePath, options: StoreOptions(calendar: calendar, eventPayload: EventPayload.render))
    }
}
