import GRDB

/// The write lock of a service's store, held by a connection of our own: the service's writer waits meanwhile, for at most two seconds.
package final class StoreLock: Sendable {
    private let connection: DatabaseQueue

    package init(dataFolder: String) throws {
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        // The lock is kept from one call to the next.
        configuration.allowsUnsafeTransactions = true
        connection = try DatabaseQueue(path: dataFolder + "/store.sqlite", configuration: configuration)
    }

    package func take() throws { try connection.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") } }

    package func release() throws { try connection.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") } }
}
