import Commerce
import Logging
import NIOCore
import NIOPosix
import Redis
import TestSupport
import Testing

@testable import Services

/// Buckets that several services share in one real Redis. The rates are so low that no token comes back while a test runs.
@Suite("Token buckets in Redis")
struct SharedTokenBucketTests {
    /// One service's loops with their buckets.
    private struct Member {
        let redis: RedisClient
        let loops: [any EventLoop]
        let buckets: [SharedTokenBuckets]

        func take(_ request: SharedTokenBuckets.Request, loop: Int = 0) async throws -> SharedTokenBuckets.Decision? {
            let (loop, buckets) = (loops[loop], buckets[loop])
            return await withCheckedContinuation { continuation in
                loop.execute { buckets.take(request) { continuation.resume(returning: $0) } }
            }
        }

        func isUsable(loop: Int = 0) async throws -> Bool {
            let buckets = buckets[loop]
            return try await loops[loop].submit { buckets.isUsable(at: .now()) }.get()
        }
    }

    private func member(
        of server: TemporaryRedis, on group: MultiThreadedEventLoopGroup, logger: Logger, address: String?, user: String?,
        patience: SharedTokenBuckets.Patience
    ) async throws -> Member {
        let redis = RedisClient(
            configuration: RedisConfiguration(endpoint: .unix(path: server.socketPath), scripts: Scripts.all), eventLoopGroup: group,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        redis.start()
        try await eventually("connected") { redis.isConnected }
        let loops = Array(group.makeIterator()).map { $0 as any EventLoop }
        let outage = RateLimitOutage(logger: logger)
        let limits = (address.flatMap { RateLimit($0) }, user.flatMap { RateLimit($0) })
        let buckets = loops.map { loop in
            SharedTokenBuckets(
                connection: redis.connection(on: loop), address: limits.0, user: limits.1, patience: patience, outage: outage)
        }
        return Member(redis: redis, loops: loops, buckets: buckets)
    }

    /// Runs `body` with several services on one Redis.
    private func withMembers(
        _ count: Int = 2, address: String? = nil, user: String? = nil, logger: Logger = Shop.logger,
        patience: SharedTokenBuckets.Patience = .whole, _ body: (TemporaryRedis, [Member]) async throws -> Void
    ) async throws {
        let server = try await offPool { try TemporaryRedis() }
        defer { server.end() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        var members: [Member] = []
        var failure: (any Error)?
        do {
            for _ in 0..<count {
                members.append(
                    try await member(of: server, on: group, logger: logger, address: address, user: user, patience: patience))
            }
            try await body(server, members)
        } catch {
            failure = error
        }
        for member in members { await member.redis.close() }
        try await group.shutdownGracefully()
        if let failure { throw failure }
    }

    @Test("services and loops that charge one user together grant exactly the burst")
    func together() async throws {
        try await withMembers(3, address: "1000/h", user: "10/h") { _, members in
            let request = SharedTokenBuckets.Request(network: "192.0.2.1", user: UserID(7))
            let decisions = try await withThrowingTaskGroup { group in
                for index in 0..<60 { group.addTask { try await members[index % 3].take(request, loop: index % 2) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(decisions.count { $0?.user?.isRefused == false && $0?.address?.isRefused == false } == 10)
            #expect(decisions.count { $0?.user?.isRefused == true } == 50)
            let last = try #require(try await members[0].take(request))
            // The address has paid for the refused requests too.
            #expect(last.user?.remaining == 0 && last.address?.remaining == 1_000 - 61)
            #expect(try #require(last.user).secondsUntilNext <= 360)
            let other = SharedTokenBuckets.Request(network: "192.0.2.1", user: UserID(8))
            #expect(try await members[1].take(other)?.user?.isRefused == false)
        }
    }

    @Test("an address that is refused does not charge the user")
    func address() async throws {
        try await withMembers(1, address: "1/h", user: "5/h") { _, members in
            #expect(try await members[0].take(.init(network: "2001:db8::", user: UserID(7)))?.user?.remaining == 4)
            let refused = try #require(try await members[0].take(.init(network: "2001:db8::", user: UserID(7))))
            #expect(refused.address?.isRefused == true && refused.user?.isRefused == false && refused.user?.remaining == 4)
            #expect(try await members[0].take(.init(network: nil, user: UserID(7)))?.user?.remaining == 3)
        }
    }

    @Test("where Redis does not answer in time, nobody is decided until the pause is over, and the log says so once")
    func hanging() async throws {
        let lines = LogLines()
        var patience = SharedTokenBuckets.Patience()
        (patience.deadline, patience.pause) = (.milliseconds(50), .milliseconds(200))
        try await withMembers(1, user: "5/h", logger: lines.logger(level: .notice), patience: patience) { server, members in
            server.pause()
            for loop in [0, 1] { #expect(try await members[0].take(.init(network: nil, user: UserID(7)), loop: loop) == nil) }
            #expect(lines.messages == ["rate limits are counted by each service alone until Redis answers again"])
            server.resume()
            try await eventually("Redis decides again") {
                guard try await members[0].isUsable() else { return false }
                return try await members[0].take(.init(network: nil, user: UserID(7))) != nil
            }
            #expect(lines.messages.last == "rate limits are counted in Redis again")
        }
    }

    @Test("without a connection nobody asks Redis")
    func away() async throws {
        let lines = LogLines()
        try await withMembers(1, user: "5/h", logger: lines.logger(level: .notice)) { server, members in
            #expect(try await members[0].isUsable())
            server.kill()
            try await eventually("the connection is lost") { try await !members[0].isUsable() }
            #expect(try await !members[0].isUsable())
            #expect(lines.messages.count == 1)
        }
    }
}

extension SharedTokenBuckets.Patience {
    /// So long that only a hang takes longer.
    fileprivate static var whole: Self {
        var patience = Self()
        patience.deadline = .seconds(120)
        return patience
    }
}
