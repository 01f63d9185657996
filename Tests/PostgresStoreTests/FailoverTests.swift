import Commerce
import Foundation
import Postgres
import Store
import TestSupport
import Testing

@testable import PostgresStore

/// Three services whose store has two hosts, a primary and its synchronous standby: whatever happens to the primary, no answered write is
/// lost, none takes effect twice, no caller gets an error, and none reads what is out of date.
@Suite(.serialized) struct FailoverTests {
    /// A deadline of trips that no test waits for: what ends them is that another server was found to be the primary.
    private static let never = hangLimit * 2

    @Test("a primary that is killed and starts again goes on, twice under load")
    func restarts() async throws {
        try await PostgresHome.onPair { home, pair in
            let stores = try home.openThree(pair.url, leavingAfter: hangLimit)
            let load = Workload()
            try await load.run(on: stores) {
                for round in 1...2 {
                    try await load.goesOn("before crash \(round)")
                    try await offPool { try pair.primary.restart(.killed) }
                }
                try await load.goesOn("after the last crash")
            }
            try await Self.expectSound(load, on: pair.primary, stores)
        }
    }

    @Test("a primary that is killed is followed by its standby, and is not used when it comes back")
    func promotion() async throws {
        try await PostgresHome.onPair { home, pair in
            let stores = try home.openThree(pair.url)
            let load = Workload()
            var left = ""
            try await load.run(on: stores) {
                try await load.goesOn("before the crash")
                try await offPool {
                    pair.primary.stop(.killed)
                    try pair.promote()
                }
                try await load.goesOn("after the promotion")

                // It comes back as a primary, and is the first host of the URL.
                try await offPool { try pair.primary.start() }
                left = try await offPool { try Self.rows(of: pair.primary) }
                for round in 1...2 {
                    try await offPool { try Self.endSessions(on: pair.standby) }
                    try await load.goesOn("beside the old primary, round \(round)")
                }
                // A service that starts now asks the old primary first.
                _ = try await home.openThree(pair.url)[0].createProduct(name: "Cup", price: Won(1), stock: 1, in: .at(noon)).value
            }
            try await Self.expectSound(load, on: pair.standby, stores)
            try await Self.expectUntouched(pair.primary, left)
        }
    }

    @Test("a primary that nobody reaches any more is followed by its standby, whatever it still does")
    func cutOff() async throws {
        try await PostgresHome.onPair { home, pair in
            try await pair.withProxy { proxy, url in
                let stores = try home.openThree(url, leavingAfter: Self.never)
                let load = Workload()
                var left = ""
                try await load.run(on: stores) {
                    try await load.goesOn("before the cut")
                    // Commits that are under way arrive, and their answers do not; later requests do not arrive.
                    proxy.swallowReplies()
                    proxy.hold()
                    try await offPool { try pair.promote() }
                    try await load.goesOn("after the promotion")

                    // Ends what still waits for the standby, so that its commits are visible.
                    try await offPool { try pair.primary.restart(.fast) }
                    left = try await offPool { try Self.rows(of: pair.primary) }
                    proxy.release()
                    try await offPool { try Self.endSessions(on: pair.standby) }
                    try await load.goesOn("with the old primary in reach again")
                }
                try await Self.expectSound(load, on: pair.standby, stores)
                try await Self.expectUntouched(pair.primary, left)
            }
        }
    }

    @Test("a primary whose standby was promoted while both are in reach can commit nothing, and its services leave it")
    func twoPrimaries() async throws {
        try await PostgresHome.onPair { home, pair in
            let stores = try home.openThree(pair.url, leavingAfter: Self.never)
            let load = Workload()
            try await load.run(on: stores) {
                try await load.goesOn("before the promotion")
                try await offPool { try pair.promote() }
                try await load.goesOn("after the promotion")
            }
            try await Self.expectSound(load, on: pair.standby, stores)
        }
    }

    @Test("a primary that is silent for a while and has its standby beside it is waited for")
    func silence() async throws {
        try await PostgresHome.onPair(settings: ["log_connections": "on"]) { home, pair in
            try await pair.withProxy { proxy, url in
                let store = try home.openThree(url, leavingAfter: Self.never)[0]
                let user = try await store.createUser(name: "이바다", in: .at(noon)).value
                let sessions = try await offPool { try Self.sessions(of: pair.primary) }
                proxy.hold()
                let charge = Task { try await store.charge(userID: user.id, amount: Won(1_000), in: .at(noon)).value }
                try await eventually("the standby was asked whether it is the primary, twice") {
                    try String(contentsOfFile: pair.standby.folder.path + "/log", encoding: .utf8)
                        .split(separator: "application_name=firstcome looking for a primary").count > 2
                }
                proxy.release()
                #expect(try await charge.value.balance == Won(1_000))
                #expect(try await offPool { try Self.sessions(of: pair.primary) } == sessions)
            }
        }
    }

    @Test("sessions that are ended at random moments cost no write and double none")
    func terminations() async throws {
        try await PostgresHome.with { home in
            let stores = [try home.open(), try home.open(), try home.open()]
            let load = Workload()
            try await load.run(on: stores) {
                for _ in 1...12 {
                    try await load.goesOn("between two ends of sessions", by: 5)
                    try await offPool { try Self.endSessions(on: home.server, of: home.database.name, most: 4) }
                }
                try await load.goesOn("at the end")
            }
            try await Self.expectSound(load, on: home.server, stores, home.database.name)
        }
    }
}

// MARK: - What the servers say

extension FailoverTests {
    private static func expectSound(
        _ load: Workload, on server: TemporaryPostgres, _ stores: [TransactionalStore], _ database: String = "store"
    ) async throws {
        let differences = try await offPool { try load.differences { try server.sql($0, in: database) } }
        #expect(differences.isEmpty, "\(differences.prefix(10).joined(separator: "\n"))")
        #expect(try await stores[0].snapshot { snapshot throws(StoreError) in try snapshot.audit() }.filter { !$0.holds } == [])
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        #expect(try await offPool { try server.sql(deadlocks, in: database) } == "0")
    }

    /// The processes of the lanes' sessions.
    private static func sessions(of server: TemporaryPostgres) throws -> String {
        try server.sql("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'firstcome % lane' ORDER BY pid")
    }

    /// Ends some sessions of the services, or all, in any order.
    private static func endSessions(on server: TemporaryPostgres, of database: String = "store", most: Int = 1_000) throws {
        try server.sql(
            """
            SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
                WHERE application_name LIKE 'firstcome %' AND datname = '\(database)' ORDER BY random() LIMIT \(most)) AS sessions
            """)
    }

    /// All rows that say what happened.
    private static func rows(of server: TemporaryPostgres) throws -> String {
        try TemporaryDatabase(server: server, name: "store").dumpOfStore()
    }

    /// Expects the rows that an old primary was left with, also those of commits that still waited for its standby.
    private static func expectUntouched(_ server: TemporaryPostgres, _ left: String) async throws {
        try await offPool {
            // Ends its sessions, after which their commits are visible.
            try server.restart(.fast)
            #expect(try rows(of: server) == left)
        }
    }
}

extension PostgresHome {
    /// Three services, each with the store of the URL.
    ///
    /// - Parameter patience: after which they leave a server that is silent, or that ends no commit.
    fileprivate func openThree(_ url: String, leavingAfter patience: Duration = .seconds(4)) throws -> [TransactionalStore] {
        var configuration = configuration(try PostgresEndpoint(url: url))
        (configuration.tripTimeout, configuration.connection.addressTimeout) = (patience, min(patience, .seconds(2)))
        return [try open(configuration), try open(configuration), try open(configuration)]
    }
}

extension PostgresPair {
    /// Runs `body` with a proxy before the primary, and the URL of the store through it.
    fileprivate func withProxy(_ body: (FaultProxy, String) async throws -> Void) async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let proxy = try await FaultProxy(to: "\(primary.folder.path)/.s.PGSQL.\(primary.port)", in: folder.path)
        // libpq finds a socket by its folder and port.
        symlink(proxy.socketPath, folder.path + "/.s.PGSQL.5432")
        try await body(proxy, url.replacing(primary.folder.path, with: folder.path))
        try await proxy.close()
    }
}
