import Commerce
import Logging
import NIOPosix
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("What a cluster must be, and whose it is", .serialized)
struct ClusterSettingsTests {
    @Test("a node that may evict is found and named, and the others do not hide it")
    func evicting() async throws {
        try await withClusterShop(replicasEach: 0) { shop, cluster in
            try await RedisSuitability.check(shop.redis)
            _ = try cluster.nodes[2].server.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            let error = await #expect(throws: ServiceError.self) { try await RedisSuitability.check(shop.redis) }
            #expect(error?.code == .unsuitableRedis)
            #expect(error?.message.contains("127.0.0.1:\(cluster.nodes[2].port), its maxmemory-policy is allkeys-lru") == true, "\(error)")
            // While the node is away, the others are used.
            cluster.nodes[2].server.kill()
            try await eventually("the check passes") { (try? await RedisSuitability.check(shop.redis)) != nil }
        }
    }

    @Test("a node of a cluster that is given as a single server is refused with the URL's form")
    func singleNode() async throws {
        try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
            // The one with the ranking, on which the handshake's admission works.
            let node = try cluster.primaryOfSales().server
            let configuration = RedisConfiguration(endpoint: .unix(path: node.socketPath))
            let client = RedisClient(
                configuration: configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Shop.logger)
            client.start()
            let error = await #expect(throws: ServiceError.self) { try await RedisSuitability.check(client) }
            #expect(error?.message.contains("redis+cluster://") == true)
            await client.close()
        }
    }

    @Test("settings that make a failure worse are logged once, and again when they change")
    func advice() async throws {
        try await withClusterShop(replicasEach: 0, arguments: ["--cluster-require-full-coverage", "yes"]) { shop, cluster in
            let lines = LogLines()
            let check = RedisCheck(redis: shop.redis, logger: lines.logger())
            for _ in 0..<2 { try await check.run() }
            let advice = lines.at(.warning)
            #expect(advice.count == 2)
            #expect(advice[0].hasPrefix("cluster-require-full-coverage is yes at 127.0.0.1:"))
            #expect(advice[1].hasPrefix("min-replicas-to-write is 0 at 127.0.0.1:"))
            for node in cluster.nodes {
                _ = try node.server.cli("CONFIG", "SET", "cluster-require-full-coverage", "no")
                _ = try node.server.cli("CONFIG", "SET", "min-replicas-to-write", "1")
            }
            #expect(await RedisSuitability.advice(shop.redis) == [:])
        }
    }

    @Test("a takeover removes gates from every primary, keeps what is not rebuilt, and is refused while a service is connected to one")
    func takeover() async throws {
        try await withClusterShop { shop, cluster in
            let coupons = try await shop.makeCampaigns(on: cluster, quantity: 5)
            let user = try await shop.makeUsers(1)[0]
            for coupon in coupons { #expect(try await shop.claim(coupon, by: user) == .won(1)) }
            for name in ["{a}", "{b}", "{c}", "events:{orders}"] {
                _ = try await shop.redis.send(RedisCommand("SET", .string(name), "kept"))
            }
            let endpoint = shop.redis.configuration.endpoint
            let other = StoreIdentity(store: "stranger", incarnation: 7, eventBase: 700)
            let takeover = RedisTakeover(by: other, of: endpoint, on: MultiThreadedEventLoopGroup.singleton, logger: Shop.logger)
            let owner = RedisTakeover.Owner.named(shop.store.identity.description)
            #expect(try await takeover.owner() == owner)
            let error = await #expect(throws: ServiceError.self) { _ = try await takeover.take(from: owner.name) }
            #expect(error?.message.contains("a service is connected") == true)
            await shop.redis.close()
            #expect(try await takeover.take(from: owner.name) >= 24)
            #expect(try await takeover.owner() == .named(other.description))
            let left = try cluster.primaries().flatMap { try $0.server.cli("KEYS", "*").split(separator: "\n").map(String.init) }
            #expect(Set(left) == ["{a}", "{b}", "{c}", "events:{orders}", RedisKeys.store])
        }
    }
}
