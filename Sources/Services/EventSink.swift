import Commerce
import NIOCore
import Redis

/// Where events of orders go: the data platform's webhook, or a Redis stream.
protocol EventSink: Sendable {
    /// Hands one event over; returns only once the other side has it. The same event may come again after an error.
    func deliver(_ event: OrderEvent) async throws

    /// Whether an error says that nobody could have been reached, so that the try does not count against the event.
    func isOutage(_ error: any Error) -> Bool
}

/// Appends events to the Redis stream `events:{orders}`, where no data platform is configured.
struct StreamSink: EventSink {
    let redis: RedisClient

    /// How many events the stream keeps, roughly: Redis trims whole nodes.
    static let length: Int64 = 100_000

    func deliver(_ event: OrderEvent) async throws {
        _ = try await redis.send(
            RedisCommand(
                "XADD", .string(RedisKeys.events), "MAXLEN", "~", .integer(Self.length), "*", "eventId", .integer(event.id.rawValue),
                "type", .string(event.kind.rawValue), "orderId", .integer(event.orderID.rawValue), "payload", .string(event.payload)))
    }

    /// Redis holds the stream for us alone: whatever goes wrong there is the outage of a part of our own.
    func isOutage(_ error: any Error) -> Bool { true }
}
