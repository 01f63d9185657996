import Foundation
import Services
import TestSupport

/// Runs `body` with a folder whose service, redis-server and files are gone afterwards, however `body` ends.
func withDataFolder(_ body: (String) async throws -> Void) async throws {
    let folder = TemporaryFolder()
    var failure: (any Error)?
    do {
        try await body(folder.path)
    } catch {
        failure = error
    }
    if let redis = try? PrivateRedis(dataFolder: folder.path) { await redis.stop() }
    folder.remove()
    if let failure { throw failure }
}

/// Runs `body` with a running `serve`, which is killed afterwards if it still runs.
func withServe(
    _ folder: String, _ arguments: [String] = ["--port", "0"], environment: [String: String] = [:],
    _ body: (ServeProcess) async throws -> Void
) async throws {
    let serve = try await ServeProcess.start(folder, arguments, environment: environment)
    do {
        try await body(serve)
        try await serve.end(SIGKILL)
    } catch {
        _ = try? await serve.end(SIGKILL)
        throw error
    }
}
