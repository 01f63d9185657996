package import Commerce
package import Logging
import NIOCore
import NIOPosix
package import Redis
package import Services
package import Store

extension RedisTakeover {
    /// Opens the store for reading, and calls `body` with a takeover of the Redis for that store.
    package static func use<Value: Sendable>(
        _ endpoint: RedisEndpoint, for place: StorePlace, calendar: BusinessCalendar, logger: Logger,
        _ body: (RedisTakeover, StoreIdentity) async throws -> Value
    ) async throws -> Value {
        let store = try place.openForReading(calendar: calendar, logger: logger)
        defer { store.close() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let takeover = RedisTakeover(by: store.identity, of: endpoint, on: group, logger: logger)
        let result: Result<Value, any Error>
        do { result = .success(try await body(takeover, store.identity)) } catch { result = .failure(error) }
        try await group.shutdownGracefully()
        return try result.get()
    }
}
