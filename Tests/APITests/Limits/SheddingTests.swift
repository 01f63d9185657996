import Commerce
import Dispatch
import HTTPServer
import JSON
import Logging
import NIOCore
import Redis
import Services
import Synchronization
import TestSupport
import Testing

@testable import API
@testable import Store

/// Work that is refused because a queue stands. The queues are made to stand by work that does not end before the test says so.
@Suite("Shedding")
struct SheddingTests {
    private func limits(_ shedAfter: Duration? = .milliseconds(20)) -> RequestLimits {
        var limits = RequestLimits()
        limits.shedAfter = shedAfter
        limits.watchesEventLoops = false
        return limits
    }

    /// The value of a metric of one queue.
    private static func metric(_ app: ApplicationFixture, _ name: String, queue: String) async throws -> Double {
        let page = String(buffer: try await app.send(.get, "/metrics").body)
        let line = try #require(page.split(separator: "\n").first { $0.hasPrefix("\(name){queue=\"\(queue)\"} ") })
        return try #require(Double(line.split(separator: " ")[1]))
    }

    @Test("while the writer hangs, writes are refused at once, and reads, admins and health go on; all is well when it works again")
    func writes() async throws {
        try await ApplicationFixture.run(limits: limits()) { app in
            let lee = Identity.user(UserID(1))
            _ = try await app.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"Lee"}"#)
            _ = try await app.send(.post, "/api/v1/products", as: .anyAdmin, #"{"name":"Tea","price":1000,"stock":5000}"#)
            let mayEnd = DispatchSemaphore(value: 0)
            let blocker = Task { try await app.store.write(Blocker(mayEnd: mayEnd)) }
            defer { mayEnd.signal() }
            try await eventually("the writer hangs") { app.store.statistics.queueDepth == 1 }
            // Requests that are accepted wait for the writer, so each is sent by a task of its own.
            var waiting: [Task<HTTPResponse, any Error>] = []
            try await eventually("charges are refused") {
                waiting.append(Task { try await app.send(.post, "/api/v1/users/1/balance/charges", as: lee, #"{"amount":1000}"#) })
                return try await Self.metric(app, "firstcome_shed_total", queue: "store_writes") > 0
            }
            #expect(try await Self.metric(app, "firstcome_queue_age_seconds", queue: "store_writes") > 0.02)
            let order = #"{"items":[{"productId":1,"quantity":1}]}"#
            // One that comes after a pause may be accepted, and waits: so these have tasks of their own too.
            var orders: [(path: String, key: String, answer: Task<HTTPResponse, any Error>)] = []
            for path in ["/api/v1/checkout", "/api/v1/orders"] {
                let refused = RefusedFlag()
                try await eventually("\(path) is refused") {
                    let key = "key-\(orders.count)"
                    let answer = Task {
                        let answer = try await app.send(.post, path, as: lee, key: key, order)
                        if answer.status == 503 { refused.isSet.store(true, ordering: .releasing) }
                        return answer
                    }
                    orders.append((path, key, answer))
                    return refused.isSet.load(ordering: .acquiring)
                }
            }
            for path in ["/api/v1/products/1", "/api/v1/products", "/api/v1/users/1/orders", "/api/v1/users/1/balance"] {
                #expect(try await app.send(.get, path, as: lee).status == 200, "\(path)")
            }
            #expect(try await app.send(.get, "/healthz").status == 200)
            let depth = app.store.statistics.queueDepth
            let admins = Task { try await app.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"Kim"}"#) }
            try await eventually("the admin's write waits") { app.store.statistics.queueDepth > depth }
            mayEnd.signal()
            try await blocker.value
            #expect(try await admins.value.status == 201)
            var charged: Int64 = 0
            for task in waiting {
                let status = try await task.value.status
                #expect(status == 201 || status == 503)
                if status == 201 { charged += 1_000 }
            }
            #expect(charged > 0)
            for (path, _, answer) in orders where path == "/api/v1/checkout" {
                if try await answer.value.status == 201 { charged -= 1_000 }
            }
            #expect(try await app.send(.get, "/api/v1/users/1/balance", as: lee).json["balance"] == .integer(charged))
            try await eventually("charges are accepted again") {
                try await app.send(.post, "/api/v1/users/1/balance/charges", as: lee, #"{"amount":1000}"#).status == 201
            }
            try await eventually("no write waits") { try await Self.metric(app, "firstcome_queue_age_seconds", queue: "store_writes") == 0 }
            var refusals: [String: Int] = [:]
            for (path, key, answer) in orders {
                let answer = try await answer.value
                guard answer.status == 503 else { continue }
                refusals[path, default: 0] += 1
                #expect(answer.code == "TEMPORARILY_UNAVAILABLE", "\(path)")
                let pause = try #require(answer.header("retry-after").flatMap { Int($0) })
                #expect((1...4).contains(pause))
                // The key of a refused request is free.
                try await eventually("an order with the key of a refused one is accepted") {
                    try await app.send(.post, "/api/v1/orders", as: lee, key: key, order).status == 201
                }
            }
            #expect(refusals.count == 2)
        }
    }

    @Test("while a lane hangs, its lists are refused at once and those of the other lane go on", arguments: ["browse", "personal"])
    func reads(_ name: String) async throws {
        let lane = try #require(ReadLane(rawValue: name))
        try await ApplicationFixture.run(
            configure: {
                $0.browseReads = ReadLaneOptions(connections: 1, maximumReads: 10_000)
                $0.personalReads = $0.browseReads
            }, limits: limits()
        ) { app in
            let lee = Identity.user(UserID(1))
            _ = try await app.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"Lee"}"#)
            let mayEnd = DispatchSemaphore(value: 0)
            let blocker = Task { try await app.store.read(lane) { _ in mayEnd.wait() } }
            defer { mayEnd.signal() }
            try await eventually("the lane hangs") { app.store.statistics.reads[lane]?.depth == 1 }
            let lists = ["browse": "/api/v1/products", "personal": "/api/v1/users/1/orders"]
            let own = try #require(lists[name])
            var waiting: [Task<HTTPResponse, any Error>] = []
            try await eventually("lists are refused") {
                waiting.append(Task { try await app.send(.get, own, as: lee) })
                return try await Self.metric(app, "firstcome_shed_total", queue: "\(name)_reads") > 0
            }
            for (other, path) in lists where other != name { #expect(try await app.send(.get, path, as: lee).status == 200) }
            mayEnd.signal()
            try await blocker.value
            var statuses: Set<Int> = []
            for task in waiting { statuses.insert(try await task.value.status) }
            #expect(statuses == [200, 503])
            try await eventually("lists are accepted again") { try await app.send(.get, own, as: lee).status == 200 }
        }
    }

    @Test("a loop that is late refuses lists where many requests wait for it, and none where few do")
    func lateLoop() async throws {
        var limits = limits()
        limits.watchesEventLoops = true
        try await ApplicationFixture.run { [limits] app in
            let (busy, idle) = try await app.loop.submit {
                let context = app.services.context(for: app.loop)
                func shedding() -> LoadShedding { LoadShedding(limits, eventLoop: app.loop, store: app.store, context: context) }
                return (shedding(), shedding())
            }.get()
            func refuses(_ shedding: LoadShedding, after requests: Int) async throws -> Bool {
                try await app.loop.submit {
                    for _ in 0..<requests { shedding.noteRequest(waitedMilliseconds: 30) }
                    return shedding.refusal(of: .browsing) != nil
                }.get()
            }
            try await eventually("lists of the busy loop are refused") {
                #expect(try await !refuses(idle, after: 1))
                return try await refuses(busy, after: 10_000)
            }
        }
    }

    @Test("claims are not refused because Redis is far away")
    func farRedis() async throws {
        let redis = try await offPool { try TemporaryRedis() }
        defer { redis.end() }
        let proxy = try await FaultProxy(to: redis.socketPath, in: redis.directory)
        // Longer than the 80 ms for which a command may wait for good.
        proxy.delayReplies(by: .milliseconds(200))
        try await ApplicationFixture.run(redis: .unix(path: proxy.socketPath), limits: limits(.seconds(2))) { app in
            _ = try await app.send(.post, "/api/v1/coupons", as: .anyAdmin, Self.campaign)
            for number in 1...200 { _ = try await app.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"User \#(number)"}"#) }
            try await eventually("claims win") {
                try await app.send(.post, "/api/v1/coupons/1/claims", as: .user(UserID(1))).status == 201
            }
            let began = ContinuousClock.now
            try await withThrowingTaskGroup { group in
                for first in 2...9 {
                    group.addTask {
                        // Some of the eight wait at any time.
                        try await Task.sleep(for: .milliseconds(25 * (first - 2)))
                        for user in stride(from: first, through: 200, by: 8) where began.duration(to: .now) < .seconds(4) {
                            let answer = try await app.send(.post, "/api/v1/coupons/1/claims", as: .user(UserID(Int64(user))))
                            #expect(answer.status == 201, "\(answer)")
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        try await proxy.close()
    }

    @Test("claims are refused where the primary of their campaign hangs, and the campaigns of other primaries go on")
    func hangingPrimary() async throws {
        try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
            let endpoint = try RedisEndpoint(url: cluster.url)
            try await ApplicationFixture.run(redis: endpoint, limits: limits(.milliseconds(100))) { app in
                for _ in 1...3 { _ = try await app.send(.post, "/api/v1/coupons", as: .anyAdmin, Self.campaign) }
                for number in 1...400 { _ = try await app.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"User \#(number)"}"#) }
                let hanging = try cluster.primary(of: "coupon:{1}")
                try #require(try cluster.primary(of: "coupon:{3}") != hanging)
                for coupon in [1, 3] {
                    try await eventually("claims win") { try await app.claim(coupon, by: 1) == 201 }
                }
                hanging.server.pause()
                var waiting: [Task<Int, any Error>] = []
                try await eventually("claims are refused") {
                    let user = waiting.count % 399 + 2
                    waiting.append(Task { try await app.claim(1, by: user) })
                    return try await Self.metric(app, "firstcome_shed_total", queue: "redis") > 0
                }
                let refused = try await Self.metric(app, "firstcome_shed_total", queue: "redis")
                var statuses: Set<Int> = []
                for user in 2...20 { statuses.insert(try await app.claim(3, by: user)) }
                #expect(statuses.contains(201))
                #expect(try await Self.metric(app, "firstcome_shed_total", queue: "redis") == refused)
                hanging.server.resume()
                for task in waiting { _ = try await task.value }
            }
        }
    }

    private static let campaign = """
        {"name":"Sale","discount":{"type":"FIXED","amount":1000},"quantity":1000,"opensAt":"2026-01-01T00:00:00Z",\
        "closesAt":"2027-12-31T00:00:00Z"}
        """

    @Test("without shedding, writes wait for a writer that hangs")
    func off() async throws {
        try await ApplicationFixture.run(limits: limits(nil)) { app in
            _ = try await app.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"Lee"}"#)
            let mayEnd = DispatchSemaphore(value: 0)
            let blocker = Task { try await app.store.write(Blocker(mayEnd: mayEnd)) }
            defer { mayEnd.signal() }
            var waiting: [Task<HTTPResponse, any Error>] = []
            try await eventually("the queue is old") {
                let charge = #"{"amount":1000}"#
                waiting.append(
                    Task { try await app.send(.post, "/api/v1/users/1/balance/charges", as: .user(UserID(1)), charge) })
                return try await Self.metric(app, "firstcome_queue_age_seconds", queue: "store_writes") > 0.1
            }
            mayEnd.signal()
            try await blocker.value
            for task in waiting { #expect(try await task.value.status == 201) }
            #expect(try await Self.metric(app, "firstcome_shed_total", queue: "store_writes") == 0)
        }
    }

    @Test("every route that lists or changes something for a user belongs to a class of work that may be refused")
    func classes() {
        for endpoint in RouteTable.routes.map(\.endpoint) where endpoint.template.hasPrefix("/api/") && endpoint.rule != .admin {
            let changes = endpoint.method == .post
            let lists = endpoint.operationID.hasPrefix("list")
            #expect((endpoint.work != .kept) == (changes || lists), "\(endpoint.operationID)")
        }
        #expect(RouteTable.routes.map(\.endpoint).filter { !$0.isLimited }.map(\.template) == ["/healthz", "/readyz", "/metrics"])
    }
}

/// Keeps the writer until the semaphore is signalled.
private struct Blocker: UseCase {
    let mayEnd: DispatchSemaphore

    var needs: Needs { Needs() }

    func decide(_ books: some Books) throws -> Outcome<Void> {
        mayEnd.wait()
        return .done(())
    }
}

extension ApplicationFixture {
    /// The status of a user's claim.
    fileprivate func claim(_ coupon: Int, by user: Int) async throws -> Int {
        try await send(.post, "/api/v1/coupons/\(coupon)/claims", as: .user(UserID(Int64(user)))).status
    }
}

/// Whether one of several requests was refused.
private final class RefusedFlag: Sendable {
    let isSet = Atomic(false)
}
