package import Commerce
package import Logging
import NIOCore
import NIOPosix
package import Redis
import Services
package import Store

/// A store and its Redis, for the commands that inspect and repair them. Services may run on both at the same time.
package struct Workbench {
    package let store: TransactionalStore
    package let redis: RedisClient
    package let calendar: BusinessCalendar
    package let logger: Logger

    /// Opens the store for reading, connects to Redis, and calls `body` with both.
    ///
    /// - Parameters:
    ///   - path: the data folder, which has the private Redis.
    ///   - given: nil for the private Redis of the folder, which is started for this call where it does not run.
    package static func use<Value>(
        _ place: StorePlace, dataFolder path: String, calendar: BusinessCalendar, redis given: RedisEndpoint?, logger: Logger,
        _ body: (Workbench) async throws -> Value
    ) async throws -> Value {
        // Opened before a Redis is started: if the store cannot be opened, no Redis must keep running.
        let store = try place.openForReading(calendar: calendar, logger: logger)
        defer { store.close() }
        var started: PrivateRedis?
        let endpoint: RedisEndpoint
        if let given {
            endpoint = given
        } else {
            let folder = try DataFolder.withPrivateRedis(path)
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
        // Commands on large sorted sets take longer than the default deadline, which is made for requests.
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
