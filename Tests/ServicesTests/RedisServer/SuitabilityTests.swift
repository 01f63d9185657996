import Redis
import TestSupport
import Testing

@testable import Services

@Suite("Suitable servers", .serialized)
struct SuitabilityTests {
    private static let good = ["redis_version": "7.0.15", "role": "master", "maxmemory_policy": "noeviction"]

    @Test(
        "a server is refused in words when it is too old, a replica, free to evict, or mute",
        arguments: [
            ([:], nil), (["redis_version": "6.2.0"], nil), (["redis_version": "8.0"], nil), (["redis_version": "10.0.1"], nil),
            (["redis_version": "255.255.255"], nil), (["redis_version": "6.1.9"], "6.1.9"), (["redis_version": "5.0.14"], "5.0.14"),
            (["redis_version": ""], "version"), (["redis_version": "none"], "none"), (["role": "slave"], "replica"),
            (["maxmemory_policy": "allkeys-lru"], "allkeys-lru"), (["maxmemory_policy": "volatile-ttl"], "volatile-ttl"),
            (["maxmemory_policy": ""], "noeviction"),
        ] as [([String: String], String?)])
    func faults(changes: [String: String], names: String?) {
        let fields = Self.good.merging(changes) { _, new in new }
        let text = "# Server\r\n" + fields.map { "\($0.key):\($0.value)\r\n" }.joined()
        let fault = RedisSuitability.fault(in: RedisInfo(text: text))
        if let names {
            #expect(fault?.contains(names) == true, "\(fault ?? "no fault")")
            #expect(fault?.contains("\n") == false)
        } else {
            #expect(fault == nil)
        }
    }

    @Test("no INFO at all is no suitable server")
    func mute() { #expect(RedisSuitability.fault(in: RedisInfo(text: "")) != nil) }

    @Test("services do not start on a server that may evict, and say why")
    func evicting() async throws {
        try await withShop(Shop.Setup(redisArguments: ["--maxmemory-policy", "allkeys-lru"])) { shop in
            let error = await #expect(throws: ServiceError.self) { try await shop.start() }
            #expect(error?.code == .unsuitableRedis)
            #expect(error?.message.contains("allkeys-lru") == true)
            #expect(await !shop.services.readiness().isReady)
        }
    }

    @Test("a server that becomes unsuitable while it serves is no longer ready, until it is put right")
    func becomesUnsuitable() async throws {
        try await withShop(Shop.Setup(configure: { $0.recoveryInterval = .milliseconds(50) })) { shop in
            try await shop.start()
            try await eventually("ready") { await shop.services.readiness().isReady }
            _ = try shop.server.cli("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
            try await eventually("not ready") { await !shop.services.readiness().isReady }
            _ = try shop.server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
            try await eventually("ready again") { await shop.services.readiness().isReady }
        }
    }
}
