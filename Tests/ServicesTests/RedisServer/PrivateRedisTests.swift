import Foundation
import Glibc
import Redis
import TestSupport
import Testing

@testable import Services

@Suite("The private Redis", .serialized)
struct PrivateRedisTests {
    /// A data folder with a short path, and whatever server runs in it gone afterwards.
    private func withFolder(_ body: (PrivateRedis, String) async throws -> Void) async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let redis = try PrivateRedis(dataFolder: folder.path)
        defer { if let pid = redis.runningPID { kill(pid, SIGKILL) } }
        try await body(redis, folder.path)
    }

    @Test("it starts once, is found again, comes back after kill -9 with what it had, and ends when it is stopped")
    func life() async throws {
        try await withFolder { redis, folder in
            #expect(redis.runningPID == nil)
            #expect(try await redis.ensureRunning(logger: Shop.logger))
            let first = try #require(redis.runningPID)
            #expect(try await !redis.ensureRunning(logger: Shop.logger))
            #expect(try await !PrivateRedis(dataFolder: folder + "/.").ensureRunning(logger: Shop.logger))
            #expect(redis.runningPID == first)
            #expect(try await cli(redis, "SET", "kept", "1") == "OK")
            #expect(try await cli(redis, "CONFIG", "GET", "maxmemory-policy") == "maxmemory-policy\nnoeviction")
            #expect(try await cli(redis, "CONFIG", "GET", "appendonly") == "appendonly\nyes")
            // A write that was answered a second ago is in the file, see appendfsync; it is written before the reply either way.
            kill(first, SIGKILL)
            try await eventually("it is gone") { redis.runningPID == nil }
            #expect(try await redis.ensureRunning(logger: Shop.logger))
            #expect(try await cli(redis, "GET", "kept") == "1")
            await redis.stop()
            #expect(redis.runningPID == nil)
            await redis.stop()
            #expect(try await redis.ensureRunning(logger: Shop.logger))
            #expect(try await cli(redis, "GET", "kept") == "1")
            await redis.stop()
        }
    }

    @Test("its folder is closed to other users")
    func permissions() async throws {
        try await withFolder { redis, folder in
            try await redis.ensureRunning(logger: Shop.logger)
            let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/redis")
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o700)
            await redis.stop()
        }
    }

    @Test("many who make sure at once start one server")
    func together() async throws {
        try await withFolder { redis, folder in
            let started = try await withThrowingTaskGroup { group in
                for _ in 0..<6 { group.addTask { try await PrivateRedis(dataFolder: folder).ensureRunning(logger: Shop.logger) } }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(started == 1)
            let log = try String(contentsOfFile: folder + "/redis/redis.log", encoding: .utf8)
            #expect(log.components(separatedBy: "just started").count == 2)
            #expect(try await cli(redis, "PING") == "PONG")
            await redis.stop()
        }
    }

    @Test(
        "an append-only file that cannot be read is set aside, never deleted, and the server begins anew",
        arguments: ["garbage", "manifest"])
    func damaged(part: String) async throws {
        try await withFolder { redis, folder in
            try await redis.ensureRunning(logger: Shop.logger)
            #expect(try await cli(redis, "SET", "lost", "1") == "OK")
            await redis.stop()
            let files = folder + "/redis/appendonlydir"
            let name = part == "manifest" ? "appendonly.aof.manifest" : "appendonly.aof.1.incr.aof"
            #expect(FileManager.default.fileExists(atPath: files + "/" + name))
            try "this is no append-only file\n".write(toFile: files + "/" + name, atomically: false, encoding: .utf8)
            #expect(try await redis.ensureRunning(logger: Shop.logger))
            #expect(try await cli(redis, "EXISTS", "lost") == "0")
            let aside = try FileManager.default.contentsOfDirectory(atPath: folder + "/redis").filter {
                $0.hasPrefix("appendonlydir.damaged-")
            }
            #expect(aside.count == 1)
            await redis.stop()
        }
    }

    @Test("a file whose last write was cut short loses that write and nothing else")
    func truncated() async throws {
        try await withFolder { redis, folder in
            try await redis.ensureRunning(logger: Shop.logger)
            #expect(try await cli(redis, "SET", "kept", "1") == "OK")
            await redis.stop()
            let path = folder + "/redis/appendonlydir/appendonly.aof.1.incr.aof"
            let file = try #require(FileHandle(forWritingAtPath: path))
            try file.seekToEnd()
            try file.write(contentsOf: Data("*3\r\n$3\r\nSET\r\n$4\r\nha".utf8))
            try file.close()
            #expect(try await redis.ensureRunning(logger: Shop.logger))
            #expect(try await cli(redis, "GET", "kept") == "1")
            #expect(try !FileManager.default.contentsOfDirectory(atPath: folder + "/redis").contains { $0.contains("damaged") })
            await redis.stop()
        }
    }

    @Test("a server that fails for another reason leaves its file where it is")
    func otherFailure() async throws {
        try await withFolder { redis, folder in
            try await redis.ensureRunning(logger: Shop.logger)
            #expect(try await cli(redis, "SET", "kept", "1") == "OK")
            await redis.stop()
            // The socket's name is taken by something that cannot be removed as a file.
            try FileManager.default.createDirectory(atPath: redis.socketPath + "/in-the-way", withIntermediateDirectories: true)
            chmod(redis.socketPath, 0o700)
            let log = folder + "/redis/redis.log"
            try FileManager.default.removeItem(atPath: log)
            try FileManager.default.createDirectory(atPath: log, withIntermediateDirectories: false)
            let error = await #expect(throws: ServiceError.self) { try await redis.ensureRunning(logger: Shop.logger) }
            #expect(error?.code == .privateRedis)
            #expect(try !FileManager.default.contentsOfDirectory(atPath: folder + "/redis").contains { $0.contains("damaged") })
            try FileManager.default.removeItem(atPath: log)
            #expect(try await redis.ensureRunning(logger: Shop.logger))
            #expect(try await cli(redis, "GET", "kept") == "1")
            await redis.stop()
        }
    }

    @Test("a folder whose path leaves no room for a socket's is refused, to the byte")
    func longPath() throws {
        let suffix = "/redis/redis.sock"
        let longest = "/tmp/" + String(repeating: "x", count: PrivateRedis.longestSocketPath - suffix.utf8.count - 5)
        #expect(try PrivateRedis(dataFolder: longest).socketPath.utf8.count == 107)
        #expect(throws: ServiceError.self) { try PrivateRedis(dataFolder: longest + "x") }
    }

    @Test("the running services bring it back")
    func broughtBack() async throws {
        try await withFolder { redis, _ in
            try await redis.ensureRunning(logger: Shop.logger)
            try await withShop(Shop.Setup(endpoint: redis.endpoint, configure: { $0.privateRedis = redis })) { shop in
                let users = try await shop.makeUsers(2)
                let coupon = try await shop.makeCampaign(quantity: 2)
                try await shop.start()
                #expect(try await shop.claimPatiently(coupon, by: users[0]) == .won(1))
                kill(try #require(redis.runningPID), SIGKILL)
                #expect(try await shop.claimPatiently(coupon, by: users[1]) == .won(2))
                #expect(try await shop.claimPatiently(coupon, by: users[0]) == .already(1))
                // A claim needs its own loop's connection alone; looking on may take any of them.
                try await eventually("connected on every loop") { shop.redis.isConnected }
                try await shop.expectAgreement(on: coupon)
            }
            await redis.stop()
        }
    }

    private func cli(_ redis: PrivateRedis, _ arguments: String...) async throws -> String {
        try await Tool.run(program: ["redis-cli", "-s", redis.socketPath] + arguments).standardOutput.trimmingCharacters(in: .newlines)
    }
}
