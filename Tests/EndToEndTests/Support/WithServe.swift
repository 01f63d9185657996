import Commerce
import Foundation
import Logging
import Services
import Store
import TestSupport
import Testing

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

/// Makes the store of a folder that has none, with event ids that a test can name.
func makeStoreCountingFrom1(_ folder: String) throws {
    let path = folder + "/store.sqlite"
    guard !FileManager.default.fileExists(atPath: path) else { return }
    guard let calendar = BusinessCalendar(timeZoneIdentifier: "Asia/Seoul") else {
        throw LiveService.UnknownTimeZone(identifier: "Asia/Seoul")
    }
    var options = StoreOptions(calendar: calendar, eventPayload: EventPayload.render)
    options.firstIncarnation = 0
    try TransactionalStore.open(path: path, options: options, logger: Logger(label: "tests")).close()
    // As a service has it, whose umask keeps others out.
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
}

/// Starts a service on a folder and ends it once it is ready, so that gates and scores are in its Redis.
func serveOnce(_ folder: String, _ arguments: [String] = []) async throws {
    try await withServe(folder, ["--port", "0"] + arguments) { serve in
        let pool = HTTPPool(port: serve.port, maximumConnections: 1)
        try await eventually("the service is ready") { try await Caller(pool: pool).get("/readyz").status == 200 }
        await pool.close()
        #expect(try await serve.end() == 0)
    }
}

extension ServeProcess {
    /// Where operators are served, as the second line of standard output says.
    var operatorsPlace: String {
        get async throws {
            var place: Substring?
            try await eventually("serve says where operators are served") {
                place = standardOutput.firstMatch(of: #/\noperators are served on ([^ \n]+)\n/#)?.1
                return place != nil
            }
            return String(try #require(place))
        }
    }

    var operatorsPort: Int {
        get async throws { try #require(Int(try await operatorsPlace.split(separator: ":").last ?? "")) }
    }
}
