import Foundation
import Postgres
import TestSupport

extension SharedPostgres {
    /// The role `test` on the unix socket, with deadlines so long that only a hang passes them.
    func configuration(database: String = "postgres") -> PostgresConfiguration { server.configuration(database: database) }

    /// Makes a role that logs in with this password, and returns its name.
    func makeRole(password: String) throws -> String {
        let name = "role_\(UInt32.random(in: 0 ... .max))"
        try server.sql("CREATE ROLE \(name) LOGIN PASSWORD '\(password)'")
        return name
    }

    /// One of the server's addresses.
    func endpoint(_ address: String = "127.0.0.1", user: String, password: String?) -> PostgresEndpoint {
        PostgresEndpoint(hosts: [.tcp(name: address, port: server.port)], user: user, password: password, database: "postgres")
    }
}

extension TemporaryPostgres {
    /// The path of the socket.
    var socket: String { "\(folder.path)/.s.PGSQL.\(port)" }

    var host: PostgresEndpoint.Host { .unix(folder: folder.path, port: port) }

    func configuration(database: String = "postgres") -> PostgresConfiguration {
        PostgresConfiguration(longDeadlines: PostgresEndpoint(hosts: [host], user: role, database: database))
    }

    /// Waits until the server says `wanted`.
    func wait(for wanted: String, from query: String) throws {
        try waitUntil("\(query) is \(wanted)") { try sql(query) == wanted }
    }
}

extension PostgresConfiguration {
    /// Deadlines so long that only a hang passes them.
    init(longDeadlines endpoint: PostgresEndpoint) {
        self.init(endpoint: endpoint)
        (connectTimeout, addressTimeout) = (hangLimit, hangLimit)
    }
}

/// Runs `body` on a thread of its own with a connection to the shared server.
func withConnection<Result: Sendable>(
    _ configure: @escaping @Sendable (inout PostgresConfiguration) -> Void = { _ in },
    onNotice: @escaping @Sendable (PostgresNotice) -> Void = { _ in },
    _ body: @escaping @Sendable (PostgresConnection) throws -> Result
) async throws -> Result {
    let shared = try await TemporaryPostgres.shared()
    return try await besidePool {
        var configuration = shared.configuration()
        configure(&configuration)
        let connection = try PostgresConnection.open(configuration, onNotice: onNotice)
        defer { connection.close() }
        return try body(connection)
    }
}

extension PostgresConnection {
    /// Sends with a deadline that only a hang passes.
    @discardableResult
    func send(_ build: (inout PostgresBatch) -> Void) throws(PostgresError) -> PostgresResults { try send(within: hangLimit, build) }

    /// Runs statements without parameters in one trip.
    @discardableResult
    func run(_ statements: String...) throws(PostgresError) -> PostgresResults {
        try send { batch in for statement in statements { batch.execute(PostgresStatement(nil, statement)) } }
    }

    /// The first value of the first row.
    func value<Value: PostgresReadable>(_ statement: String, as type: Value.Type = Value.self) throws(PostgresError) -> Value {
        try run(statement)[0].value(0, 0)
    }
}

/// Waits for a condition without suspending, for code on a thread of its own.
func waitUntil(_ claim: String, _ condition: () throws -> Bool) throws {
    let start = ContinuousClock.now
    while try !condition() {
        guard start.duration(to: .now) < hangLimit else { throw NotInTime(claim: claim, deadline: hangLimit) }
        usleep(3_000)
    }
}

/// The error that `body` throws.
func failure(_ body: () throws(PostgresError) -> Void) -> PostgresError? {
    do throws(PostgresError) {
        try body()
        return nil
    } catch {
        return error
    }
}
