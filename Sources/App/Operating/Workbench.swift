package import Commerce
package import Logging
import NIOCore
import NIOPosix
package import Redis
import Services
package import Store

/// Store and Redis of a data folder, opened beside a service that may be running, for the commands that look and mend.
package struct Workbench {
    package let store: TransactionalStore
    package let redis: RedisClient
    package let calendar: BusinessCalendar
    package let logger: Logger

    /// Opens the store for reading and finds Redis: the given one, or the folder's own, started for this call if need be.
    ///
    /// - Parameter given: nil for the private Redis of the folder.
    package static func use<Value>(
        _ folder: DataFolder, calendar: BusinessCalendar, redis given: RedisEndpoint?, logger: Logger,
        _ body: (Workbench) async throws -> Value
    ) async throws -> Value {
        // Before a Redis is started for this call: a store that cannot be opened must not leave one behind.
        let store = try folder.openStoreForReading(calendar: calendar, logger: logger)
        defer { store.close() }
        var started: PrivateRedis?
        let endpoint: RedisEndpoint
        if let given {
            endpoint = given
        } else {
            if case .given(let url) = folder.lastRedis {
                throw CommandError("the service of \(folder.path) used the Redis at \(url); name it with --redis")
            }
            let privateRedis = try folder.privateRedis()
            if try await privateRedis.ensureRunning(logger: logger) { started = privateRedis }
            endpoint = privateRedis.endpoint
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var configuration = RedisConfiguration(endpoint: endpoint, scripts: Scripts.all)
        configuration.clientName = "firstcome-tool"
        configuration.admission = StoreAdmission.admission(of: store.identity, as: .tool)
        // A rebuild or a look at a large sorted set takes Redis longer than any request may.
        configuration.commandDeadline = .seconds(30)
        let client = RedisClient(configuration: configuration, eventLoopGroup: group, logger: logger)
        client.start()
        let result: Result<Value, any Error>
        do {
            try await RedisSuitability.check(client)
            result = .success(try await body(Workbench(store: store, redis: client, calendar: calendar, logger: logger)))
        } catch let error as ServiceError where error.code == .foreignRedis && given == nil {
            result = .failure(CommandError("\(error.message). The next start of the service rebuilds it"))
        } catch {
            result = .failure(error)
        }
        await client.close()
        try await group.shutdownGracefully()
        await started?.stop()
        return try result.get()
    }
}
