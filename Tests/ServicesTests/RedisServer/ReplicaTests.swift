import Redis
import TestSupport
import Testing

@testable import Services

/// A replica answers scripts that only read, so a service that believed one would turn people away on old data.
@Suite("Replicas are no Redis to decide on", .serialized)
struct ReplicaTests {
    @Test("services do not start on a replica, say so in one line, and start once it is promoted")
    func start() async throws {
        try await withShop { shop in
            try shop.server.cli("REPLICAOF", "127.0.0.1", "1")
            // The first call finds the connection from before, the second one finds none.
            for connection in ["made before", "refused"] {
                let error = await #expect(throws: ServiceError.self) { try await shop.start() }
                #expect(error?.code == .unsuitableRedis, "\(connection)")
                #expect(error?.message.hasSuffix("cannot be used: it is a replica") == true, "\(connection)")
                try await eventually("the connections are given up") { shop.redis.isAway }
            }
            #expect(await !shop.services.readiness().isReady)
            try shop.server.cli("REPLICAOF", "NO", "ONE")
            try await eventually("connected again") { shop.redis.isConnected }
            try await shop.start()
            try await eventually("ready") { await shop.services.readiness().isReady }
        }
    }

    @Test("a primary that becomes a replica while the services run is left although nothing is written, and taken again afterwards")
    func demoted() async throws {
        try await withShop(Shop.Setup(configure: { $0.recoveryInterval = .milliseconds(50) })) { shop in
            try await shop.start()
            try await eventually("ready") { await shop.services.readiness().isReady }
            try shop.server.cli("REPLICAOF", "127.0.0.1", "1")
            // One connection after the other: until the last one is left, readiness may be asked through it.
            try await eventually("left") { shop.redis.isAway }
            try await eventually("not ready") { await !shop.services.readiness().isReady }
            try shop.server.cli("REPLICAOF", "NO", "ONE")
            try await eventually("ready again") { await shop.services.readiness().isReady }
        }
    }

    @Test("a user who may not ask for the role is refused with the name of the command")
    func roleNotPermitted() async throws {
        try await withShop { shop in
            try shop.server.cli("ACL", "SETUSER", "default", "-role")
            try shop.server.cli("CLIENT", "KILL", "TYPE", "normal")
            try await eventually("the handshake is refused") {
                do {
                    try await RedisSuitability.check(shop.redis)
                    return false
                } catch {
                    return (error as? ServiceError)?.message.contains("ROLE") == true
                }
            }
            try shop.server.cli("ACL", "SETUSER", "default", "+role")
            try await eventually("connected again") { shop.redis.isConnected }
            try await RedisSuitability.check(shop.redis)
        }
    }
}
