import Commerce
import NIOCore
import Redis
import Store

/// Where events of orders go: the data platform's webhook, or a Redis stream.
protocol EventSink: Sendable {
    /// How many events the other side takes at once.
    var batchSize: Int { get }

    /// Hands events over, each of another order; returns only once the other side has all of them. The same events may come
    /// again after an error.
    func deliver(_ events: [OutgoingEvent]) async throws

    /// Whether an error says that nobody could have been reached, so that the try does not count against the event.
    func isOutage(_ error: any Error) -> Bool
}

/// Appends events to the Redis stream `events:{orders}`, where no data platform is configured.
struct StreamSink: EventSink {
    let redis: RedisClient

    /// How many events the stream keeps, roughly: Redis trims whole nodes.
    static let length: Int64 = 100_000

    var batchSize: Int { 256 }

    func deliver(_ events: [OutgoingEvent]) async throws {
        let replies = try await redis.pipeline(
            events.map { event in
                RedisCommand(
                    "XADD", .string(RedisKeys.events), "MAXLEN", "~", .integer(Self.length), "*", "eventId", .integer(event.id.rawValue),
                    "type", .string(event.kind.rawValue), "orderId", .integer(event.orderID.rawValue), "payload", .string(event.payload))
            })
        for case .error(let error) in replies { throw RedisError(error) }
    }

    /// Redis holds the stream for us alone: whatever goes wrong there is the outage of a part of our own.
    func isOutage(_ error: any Error) -> Bool { true }
}
