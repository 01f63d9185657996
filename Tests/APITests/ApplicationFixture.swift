import Commerce
import EventLoops
import Foundation
import HTTPServer
import JSON
import Logging
import NIOCore
import NIOPosix
import Redis
import Services
import Store
import TestSupport
import Testing

@testable import API

/// The whole application on a real store in a temporary folder, called without a socket. Where no Redis is given, it is where
/// nobody listens: what needs no Redis has to work anyway.
struct ApplicationFixture: Sendable {
    let api: FirstcomeAPI
    let services: CommerceServices
    let store: TransactionalStore
    let key: TokenKey
    let group: MultiThreadedEventLoopGroup
    let loop: any EventLoop
    let executor: EventLoopExecutor

    /// The instant at which every request of the fixture happens.
    static let now = Instant(milliseconds: 1_795_000_000_000)

    /// Builds it, runs the body, and takes everything down again however the body ends.
    static func run(
        redis: RedisEndpoint? = nil,
        policy: Policy = Policy(),
        logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        configure: (inout StoreOptions) -> Void = { _ in },
        // Tests of other things hold queues up, or run on a machine that does.
        limits: RequestLimits = .withoutShedding,
        _ body: @escaping @Sendable (ApplicationFixture) async throws -> Void
    ) async throws {
        let temporary = TemporaryFolder()
        defer { temporary.remove() }
        let folder = temporary.path
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let result: Result<Void, any Error>
        do {
            result = .success(
                try await run(
                    in: folder, group, redis ?? .unix(path: folder + "/nobody.sock"), policy, logger, configure, limits, body))
        } catch {
            result = .failure(error)
        }
        try await group.shutdownGracefully()
        try result.get()
    }

    private static func run(
        in folder: String, _ group: MultiThreadedEventLoopGroup, _ endpoint: RedisEndpoint, _ policy: Policy, _ logger: Logger,
        _ configure: (inout StoreOptions) -> Void, _ limits: RequestLimits, _ body: (ApplicationFixture) async throws -> Void
    ) async throws {
        let calendar = try #require(BusinessCalendar(timeZoneIdentifier: "Asia/Seoul"))
        var options = StoreOptions(calendar: calendar, eventPayload: EventPayload.render)
        // Event ids that a test can name.
        options.firstIncarnation = 0
        configure(&options)
        let store = try TransactionalStore.open(path: folder + "/store.sqlite", options: options, logger: logger)
        defer { store.close() }
        let redis = RedisClient(
            configuration: RedisConfiguration(endpoint: endpoint, scripts: Scripts.all), eventLoopGroup: group, logger: logger)
        let configuration = ServicesConfiguration(policy: policy, calendar: calendar, clock: WallClock { now })
        let services = try CommerceServices(configuration: configuration, store: store, redis: redis, eventLoopGroup: group, logger: logger)
        let key = TokenKey(bytes: Array(repeating: 7, count: TokenKey.length))
        let api = FirstcomeAPI(services: services, tokenKey: key, eventLoopGroup: group, limits: limits, logger: logger)
        let loop = group.next()
        redis.start()
        try await body(
            ApplicationFixture(
                api: api, services: services, store: store, key: key, group: group, loop: loop, executor: EventLoopExecutor(eventLoop: loop)
            ))
        await redis.close()
    }

    /// Sends one request as somebody, or as nobody, and waits for its answer.
    func send(
        _ method: HTTPMethod, _ target: String, as identity: Identity? = nil, key idempotencyKey: String? = nil, _ body: String = "",
        contentType: String? = "application/json", fields: [(name: String, value: String)] = [], from peer: IPAddress = .unspecified
    ) async throws -> HTTPResponse {
        var headers = fields
        if let identity {
            let later = Instant(milliseconds: Self.now.milliseconds + 3_600_000)
            headers.append(("Authorization", "Bearer \(key.sign(identity, issuedAt: Self.now, expiresAt: later))"))
        }
        if let idempotencyKey { headers.append(("Idempotency-Key", idempotencyKey)) }
        if let contentType, !body.isEmpty { headers.append(("Content-Type", contentType)) }
        let request = HTTPRequest(
            method: method.rawValue, target: target, fields: headers, body: ByteBuffer(string: body), eventLoop: loop,
            peer: peer)
        return await answer(try #require(request))
    }

    /// Sends the same request many times at once.
    func sendTogether(
        _ count: Int, _ method: HTTPMethod, _ target: String, as identity: Identity, key: String, _ body: String
    ) async throws -> [HTTPResponse] {
        let tasks = (0..<count).map { _ in Task { try await send(method, target, as: identity, key: key, body) } }
        var answers: [HTTPResponse] = []
        for task in tasks { answers.append(try await task.value) }
        return answers
    }

    /// Runs the handler where a server would: on the loop.
    func answer(_ request: HTTPRequest) async -> HTTPResponse {
        let handler = api.handler
        return await Task(executorPreference: executor) { await handler(request) }.value
    }
}

extension HTTPResponse {
    /// The body as JSON.
    var json: JSONValue {
        get throws { try JSONParser.parse(body) }
    }

    /// The problem's code; `nil` for another body.
    var code: String? { (try? json)?["code"]?.text }

    var contentType: String? { header("content-type") }

    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}
