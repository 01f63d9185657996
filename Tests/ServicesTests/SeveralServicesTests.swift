import Commerce
import Redis
import Store
import Synchronization
import TestSupport
import Testing

@testable import Services

@Suite("Several services on one Redis and one store", .serialized)
struct SeveralServicesTests {
    @Test("a service that remembers an older epoch than the gate's reads the store and leaves the gate as it is")
    func olderView() async throws {
        try await withShop { shop in
            try await shop.withPeers(3) { peers in
                let users = try await shop.makeUsers(4)
                let coupon = try await shop.makeCampaign(quantity: 1)
                #expect(try await peers[0].claimPatiently(coupon, by: users[0]) == .won(1))
                // Every service remembers the campaign as it is now.
                for peer in peers { #expect(try await peer.claimPatiently(coupon, by: users[1]) == .refused(.couponSoldOut)) }
                let before = try #require(try shop.epoch(of: coupon))
                try await peers[0].campaigns.build(coupon, beyond: before)
                #expect(try shop.epoch(of: coupon) == before + 1)
                for round in 0..<12 {
                    let answer = try await peers[(round + 1) % 3].claimPatiently(coupon, by: users[2])
                    #expect(answer == .refused(.couponSoldOut))
                }
                let after = try #require(try shop.epoch(of: coupon))
                #expect(after == before + 1, "\(after - before) epochs")
                try await shop.expectAgreement(on: coupon)
            }
        }
    }

    @Test("FLUSHALL under the load of three services: at most three epochs, nobody loses a place, and no place is given twice")
    func flushUnderLoad() async throws {
        try await withShop { shop in
            try await shop.withPeers(3) { peers in
                let users = try await shop.makeUsers(1_500)
                let coupon = try await shop.makeCampaign(quantity: 1_000)
                let before = try #require(try shop.epoch(of: coupon))
                let won = Count()
                let places = try await withThrowingTaskGroup { group in
                    for (index, user) in users.enumerated() {
                        group.addTask {
                            let answer = try await peers[index % 3].claimPatiently(coupon, by: user)
                            guard case .won(let place) = answer else { return (user, Int64?.none) }
                            // In the middle of the sale: hundreds of claims are on their way.
                            if won.increment() == 200 { _ = try await shop.redis.send(RedisCommand("FLUSHALL", isRepeatable: true)) }
                            return (user, place)
                        }
                    }
                    return try await group.reduce(into: [UserID: Int64]()) { $0[$1.0] = $1.1 }
                }
                let after = try #require(try shop.epoch(of: coupon))
                #expect(after > before && after <= before + 3, "\(before) to \(after)")
                let issued = try await shop.issued(coupon)
                #expect(issued.count == 1_000)
                #expect(Set(places.values).count == places.count)
                for (user, place) in places { #expect(issued[place] == user) }
                try await shop.expectAgreement(on: coupon)
                // The gate is everybody's: no service sees a reason to build it again.
                for peer in peers {
                    #expect(try await peer.claimPatiently(coupon, by: users[0]) != .refused(.couponNotFound))
                }
                #expect(try shop.epoch(of: coupon) == after)
            }
        }
    }
}

/// A number that many tasks raise.
final class Count: Sendable {
    private let state = Mutex(0)


    func increment() -> Int {
        state.withLock { count in
            count += 1
            return count
        }
    }
}
