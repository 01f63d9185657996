import Synchronization

/// Publishes connects to streams, and lost connections to callbacks.
final class RedisConnectEvents: Sendable {
    private let lossCallbacks = Mutex<[@Sendable () -> Void]>([])
    private let continuations = Mutex<[AsyncStream<RedisClient.ConnectEvent>.Continuation]>([])

    /// Called on a connection's loop.
    func ready(_ connection: RedisConnection, isReconnect: Bool) {
        publish(
            RedisClient.ConnectEvent(eventLoop: connection.eventLoop, connectCount: connection.connectCount, isReconnect: isReconnect))
    }

    private func publish(_ event: RedisClient.ConnectEvent) {
        for continuation in continuations.withLock({ $0 }) { continuation.yield(event) }
    }

    /// Called on a connection's loop.
    func lost() {
        for callback in lossCallbacks.withLock({ $0 }) { callback() }
    }

    func onLoss(_ callback: @escaping @Sendable () -> Void) { lossCallbacks.withLock { $0.append(callback) } }

    func stream() -> AsyncStream<RedisClient.ConnectEvent> {
        let (stream, continuation) = AsyncStream.makeStream(of: RedisClient.ConnectEvent.self, bufferingPolicy: .bufferingNewest(1))
        continuations.withLock { $0.append(continuation) }
        return stream
    }

    func finish() {
        for continuation in continuations.withLock({ $0 }) { continuation.finish() }
    }
}
