import Foundation
import Postgres
import TestSupport
import Testing

@Suite struct TemporaryPostgresTests {
    @Test("a server ends and its folder is removed when the process that started it is killed", arguments: [false, true])
    func killed(whileStopped: Bool) async throws {
        try await besidePool {
            let server = try TemporaryPostgres()
            let pid = try #require(server.pid)
            let connection = try PostgresConnection.open(server.configuration())
            if whileStopped { server.pause() }
            server.abandon()
            #expect(kill(pid, 0) != 0)
            #expect(kill(connection.serverProcess, 0) != 0)
            #expect(!FileManager.default.fileExists(atPath: server.folder.path))
        }
    }
}
