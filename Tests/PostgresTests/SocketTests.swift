import CLibPQ
import Foundation
import TestSupport
import Testing

@testable import Postgres

/// What the kernel is told about a connection on TCP.
@Suite struct SocketTests {
    @Test("a connection has the keepalives and the limit of unacknowledged time that it was configured with, or that its URL gives")
    func options() async throws {
        let shared = try await TemporaryPostgres.shared()
        try await besidePool {
            let user = try shared.makeRole(password: "x")
            func options(_ query: String) throws -> [Int32] {
                let url = "postgresql://\(user):x@127.0.0.1:\(shared.server.port)/postgres\(query)"
                var configuration = PostgresConfiguration(longDeadlines: try PostgresEndpoint(url: url))
                configuration.tcp.userTimeout = .milliseconds(7_500)
                (configuration.tcp.keepalivesIdle, configuration.tcp.keepalivesInterval, configuration.tcp.keepalivesCount) = (11, 6, 4)
                let connection = try PostgresConnection.open(configuration)
                let socket = PQsocket(connection.connection)
                return try [TCP_USER_TIMEOUT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT].map { option in
                    var (value, size): (Int32, socklen_t) = (0, 4)
                    try #require(getsockopt(socket, Int32(IPPROTO_TCP), Int32(option), &value, &size) == 0)
                    return value
                }
            }
            #expect(try options("") == [7_500, 11, 6, 4])
            #expect(try options("?tcp_user_timeout=9000&keepalives_idle=20") == [9_000, 20, 6, 4])
        }
    }
}
