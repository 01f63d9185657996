import Commerce
import HTTPServer
import Logging
import TestSupport
import Testing

@testable import API

@Suite("The log")
struct AccessLogTests {
    private func lines(at level: Logger.Level) async throws -> [String] {
        let lines = LogLines()
        try await ApplicationFixture.run(logger: lines.logger(level: level)) { app in
            _ = try await app.send(.post, "/api/v1/users", as: .anyAdmin, key: "secret-key", #"{"name":"비밀이름"}"#)
            _ = try await app.send(.get, "/api/v1/users/1/balance?cursor=secret-query", as: .user(UserID(1)))
        }
        return lines.all.filter { $0.hasPrefix("debug request ") }
    }

    @Test("at debug level each request is one line, without token, key, query or body")
    func debug() async throws {
        let lines = try await lines(at: .debug)
        #expect(lines.count == 2)
        #expect(lines.contains { $0.contains("/api/v1/users/1/balance") && $0.contains("200") && $0.contains("GET") })
        for line in lines {
            for secret in ["Bearer", "eyJ", "secret", "비밀"] { #expect(!line.contains(secret), "\(line)") }
        }
    }

    @Test("at info level requests leave no line")
    func info() async throws {
        #expect(try await lines(at: .info).isEmpty)
    }
}
