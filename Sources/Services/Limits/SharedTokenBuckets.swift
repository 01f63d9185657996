package import Commerce
package import NIOCore
package import Redis

/// The token buckets that several services share in their Redis, for one event loop.
///
/// A service first charges its own buckets in memory, which see a part of all requests and so never refuse one that the shared buckets
/// would grant. Requests that pass are decided by one call of `lua/take_tokens.lua` each; calls of one tick leave in one write. While
/// Redis does not answer, the buckets in memory decide alone; so does a cluster of which only the primary of the buckets is away.
///
/// Safety of `@unchecked Sendable`: every `private var` is touched on the connection's event loop alone; ``take(_:then:)`` checks.
package final class SharedTokenBuckets: @unchecked Sendable {
    /// The buckets of one request.
    package struct Request: Sendable {
        /// The text of the client's network; nil where addresses are not limited.
        let network: String?
        /// Nil for a request without a user, and where users are not limited.
        let user: UserID?

        package init(network: String?, user: UserID?) { (self.network, self.user) = (network, user) }

        /// Whether there is a bucket to charge.
        package var isCharged: Bool { network != nil || user != nil }
    }

    /// What the shared buckets decided.
    package struct Decision: Sendable, Equatable {
        package let address: RateLimit.Level?
        package let user: RateLimit.Level?
    }

    /// How long requests wait for Redis before the buckets in memory decide, and the pause before Redis is asked again.
    package struct Patience: Sendable {
        package var deadline: TimeAmount = .milliseconds(250)
        package var pause: TimeAmount = .seconds(1)

        package init() {}
    }

    private let connection: RedisConnection
    private let address: RateLimit?
    private let user: RateLimit?
    private let patience: Patience
    private let outage: RateLimitOutage
    /// Redis is not asked before this instant.
    private var pausedUntil = NIODeadline.uptimeNanoseconds(0)

    /// - Parameter outage: shared by the loops, so that an outage is logged once.
    package init(
        connection: RedisConnection, address: RateLimit?, user: RateLimit?, patience: Patience = Patience(), outage: RateLimitOutage
    ) {
        (self.connection, self.address, self.user, self.patience, self.outage) = (connection, address, user, patience, outage)
    }

    /// Whether Redis may be asked now. Where it may not, the buckets in memory decide.
    package func isUsable(at now: NIODeadline) -> Bool {
        connection.eventLoop.assertInEventLoop()
        guard connection.isConnected(to: RedisKeys.buckets) else {
            outage.began(because: nil)
            return false
        }
        return now >= pausedUntil
    }

    /// Charges one request. The completion is called once, on the loop, with nil where Redis has not answered in time.
    package func take(_ request: Request, then completion: @escaping @Sendable (Decision?) -> Void) {
        connection.eventLoop.assertInEventLoop()
        let call = Call(completion)
        let deadline = connection.eventLoop.assumeIsolated().scheduleTask(in: patience.deadline) {
            self.pause(because: RedisError(.timedOut, "no reply within the deadline of rate limits"))
            call.finish(nil)
        }
        connection.send(command(request)) { result in
            deadline.cancel()
            call.finish(self.decision(result, request))
        }
    }

    /// Calls a completion once, with what comes first: the reply or the deadline. Confined to the loop.
    private final class Call {
        private var completion: (@Sendable (Decision?) -> Void)?

        init(_ completion: @escaping @Sendable (Decision?) -> Void) { self.completion = completion }

        func finish(_ decision: Decision?) { completion.take()?(decision) }
    }

    private func command(_ request: Request) -> RedisCommand {
        let address = request.network == nil ? nil : address
        let user = request.user == nil ? nil : user
        return RedisCommand(
            Scripts.takeTokens,
            keys: [
                .string(RedisKeys.bucket(ofAddress: request.network ?? "")), .string(RedisKeys.bucket(of: request.user ?? UserID(0))),
            ],
            arguments: [
                .integer((address?.interval ?? 0) / 1_000), .integer(address?.burst ?? 0), .integer((user?.interval ?? 0) / 1_000),
                .integer(user?.burst ?? 0),
            ])
    }

    private func decision(_ result: Result<RedisValue, RedisError>, _ request: Request) -> Decision? {
        do {
            let answer = try ScriptAnswer<TakeTokensCode>(try result.get(), of: Scripts.takeTokens)
            outage.ended()
            let addressLevel =
                request.network == nil
                ? nil : address?.level(untilFull: answer.number(1) * 1_000, isRefused: answer.code == .addressRefused)
            let userLevel =
                request.user == nil
                ? nil : user?.level(untilFull: answer.number(2) * 1_000, isRefused: answer.code == .userRefused)
            return Decision(address: addressLevel, user: userLevel)
        } catch {
            pause(because: error)
            return nil
        }
    }

    private func pause(because error: any Error) {
        pausedUntil = .now() + patience.pause
        outage.began(because: error)
    }
}
