import Commerce
import NIOPosix
import Redis
import Store
import TestSupport

@testable import Services

/// One of several services that share a Redis and a store, as processes on several machines would.
struct Peer: Sendable {
    let services: CommerceServices
    let redis: RedisClient

    var campaigns: Campaigns { services.campaigns }

    /// One claim through the service's own door.
    func claim(_ coupon: CouponID, by user: UserID) async throws -> ClaimAnswer {
        try ClaimAnswer(await services.outcome(of: coupon, by: user))
    }

    /// Comes back as long as it is told to, as a client does with `Retry-After`.
    func claimPatiently(_ coupon: CouponID, by user: UserID) async throws -> ClaimAnswer {
        let deadline = ContinuousClock.now + hangLimit
        while true {
            let answer = try await claim(coupon, by: user)
            guard case .later = answer, ContinuousClock.now < deadline else { return answer }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

extension Shop {
    /// Runs `body` with that many services beside each other: the shop's own first.
    func withPeers(
        _ count: Int, isolation: isolated (any Actor)? = #isolation, _ body: ([Peer]) async throws -> Void
    ) async throws {
        var peers = [Peer(services: services, redis: redis)]
        for _ in 1..<count {
            let client = RedisClient(
                configuration: redis.configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Self.logger)
            let services = try CommerceServices(
                configuration: services.configuration, store: store, redis: client, eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
                logger: Self.logger)
            client.start()
            peers.append(Peer(services: services, redis: client))
        }
        var failure: (any Error)?
        do {
            try await eventually("every service is connected") { peers.allSatisfy(\.redis.isConnected) }
            try await body(peers)
        } catch {
            failure = error
        }
        for peer in peers.dropFirst() {
            await peer.services.close()
            await peer.redis.close()
        }
        if let failure { throw failure }
    }

    func epoch(of coupon: CouponID) throws -> Int64? { try reader.campaign(coupon)?.epoch }
}
