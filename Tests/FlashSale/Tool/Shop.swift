import Foundation
import NIOCore
import NIOPosix
import Services
import TestSupport

/// A service with a private Redis and fresh data in a temporary folder, with tokens for everybody.
struct Shop: Sendable {
    let folder: String
    let serve: ServeProcess
    let pool: HTTPPool
    let admin: Caller

    var url: String { "http://127.0.0.1:\(serve.port)" }

    /// Enough that nobody waits long for a connection, and few enough for 1,024 open files, which is the usual limit.
    static let connections = 400

    /// Runs the body with a shop. Whatever ends the body, also Ctrl-C, ends the service and its Redis and removes the folder.
    static func with<Value: Sendable>(port: Int, _ body: @Sendable (Shop) async throws -> Value) async throws -> Value {
        let folder = TemporaryFolder()
        var serve: ServeProcess?
        do {
            let started = try await start(in: folder.path, port: port)
            serve = started
            let pool = HTTPPool(port: started.port, maximumConnections: connections)
            let token = try await Self.tokens(folder.path, "--admin")
            let shop = Shop(folder: folder.path, serve: started, pool: pool, admin: Caller(pool: pool, token: token.first))
            try await eventually("the service is ready") { try await shop.admin.get("/readyz").status == 200 }
            let value = try await body(shop)
            await end(serve, folder)
            return value
        } catch {
            await end(serve, folder)
            throw error
        }
    }

    private static func start(in folder: String, port: Int) async throws -> ServeProcess {
        // Another program may take the port after it was found free: then the service takes any.
        if port != 0, await isFree(port), let serve = try? await ServeProcess.start(folder, ["--port", String(port)]) { return serve }
        try Task.checkCancellation()
        return try await ServeProcess.start(folder, ["--port", "0"])
    }

    private static func isFree(_ port: Int) async -> Bool {
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        guard let channel = try? await bootstrap.bind(host: "127.0.0.1", port: port).get() else { return false }
        try? await channel.close()
        return true
    }

    /// In a task of its own, which a cancellation of the caller's does not reach.
    private static func end(_ serve: ServeProcess?, _ folder: TemporaryFolder) async {
        await Task {
            serve?.send(SIGTERM)
            // A service that does not drain is killed: nothing is left to be answered.
            let drained = try? await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    _ = try await serve?.wait()
                    return true
                }
                group.addTask {
                    try await Task.sleep(for: .seconds(15))
                    return false
                }
                defer { group.cancelAll() }
                return try await group.next() ?? false
            }
            if drained != true { _ = try? await serve?.end(SIGKILL) }
            if let redis = try? PrivateRedis(dataFolder: folder.path) { await redis.stop() }
            folder.remove()
        }.value
    }

    private static func tokens(_ folder: String, _ arguments: String...) async throws -> [String] {
        let output = try await Tool.run(["token", "--data", folder] + arguments)
        guard output.status == 0 else { throw Tool.Missing(description: "no tokens: \(output.standardError)") }
        return output.lines
    }

    /// The callers of the first users.
    func people(_ count: Int) async throws -> [Caller] {
        try await Self.tokens(folder, "--user", "1-\(count)").enumerated().map { index, token in
            Caller(pool: pool, token: token, id: Int64(index + 1))
        }
    }

    /// What `firstcome audit` says about store and Redis, beside the service.
    func audit() async throws -> Tool.Output { try await Tool.run("audit", "--data", folder) }
}
