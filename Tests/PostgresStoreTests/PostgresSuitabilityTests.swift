import Commerce
import Postgres
import TestSupport
import Testing

@testable import PostgresStore

/// Which PostgreSQL may hold the store: by real servers, and by facts that no installed server has.
@Suite(.serialized) struct PostgresSuitabilityTests {
    private static let durable = ["fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "synchronous_standby_names": ""]

    private static func check(
        _ server: TemporaryPostgres, clock: WallClock = .system, _ configure: (inout PostgresSession) -> Void = { _ in }
    ) throws -> PostgresSuitability.Verdict {
        let host = PostgresEndpoint.Host.unix(folder: server.folder.path, port: server.port)
        var configuration = PostgresConfiguration(endpoint: PostgresEndpoint(hosts: [host], user: server.role, database: "postgres"))
        (configuration.connectTimeout, configuration.addressTimeout) = (hangLimit, hangLimit)
        configure(&configuration.session)
        let connection = try PostgresConnection.open(configuration)
        return try PostgresSuitability.check(connection, within: hangLimit, clock: clock)
    }

    /// Why a server is refused; "suitable" and its warnings where it is not.
    private static func reason(_ verdict: PostgresSuitability.Verdict) -> String {
        switch verdict {
        case .suitable(let warnings): (["suitable"] + warnings).joined(separator: "; ")
        case .unsuitable(let reason): reason
        }
    }

    @Test("a server that may lose or damage rows is refused by the setting's name, and a durable one is not")
    func settings() async throws {
        try await besidePool {
            let server = try TemporaryPostgres(settings: Self.durable)
            defer { server.end() }
            func change(_ setting: String, _ value: String) throws {
                try server.sql("ALTER SYSTEM SET \(setting) = '\(value)'")
                try server.sql("SELECT pg_reload_conf()")
                try eventuallyReads(value, setting)
            }
            func eventuallyReads(_ value: String, _ setting: String) throws {
                let start = ContinuousClock.now
                while try server.sql("SHOW \(setting)") != value {
                    guard start.duration(to: .now) < hangLimit else {
                        throw NotInTime(claim: "\(setting) is \(value)", deadline: hangLimit)
                    }
                }
            }
            #expect(Self.reason(try Self.check(server)).hasPrefix("suitable; no synchronous standby"))
            for (setting, value) in [("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off")] {
                try change(setting, value)
                #expect(Self.reason(try Self.check(server)).contains("its \(setting) is off"))
                try change(setting, "on")
            }
            // The session's own setting is what counts.
            #expect(
                Self.reason(try Self.check(server) { $0.settings["synchronous_commit"] = "off" }).contains("its synchronous_commit is off"))
            let readsOnly = try Self.check(server) { $0.settings["default_transaction_read_only"] = "on" }
            #expect(Self.reason(readsOnly).contains("read-only"))
            try change("synchronous_standby_names", "ANY 1 (*)")
            #expect(try Self.check(server) == .suitable(warnings: []))
            let local = try Self.check(server) { $0.settings["synchronous_commit"] = "local" }
            #expect(Self.reason(local).hasPrefix("suitable; synchronous_commit is local"))
            let written = try Self.check(server) { $0.settings["synchronous_commit"] = "remote_write" }
            #expect(Self.reason(written).hasPrefix("suitable; synchronous_commit is remote_write"))
        }
    }

    @Test("a standby is refused")
    func standby() async throws {
        try await besidePool {
            let primary = try TemporaryPostgres(settings: Self.durable)
            defer { primary.end() }
            let standby = try TemporaryPostgres(.standby(of: primary), settings: Self.durable)
            defer { standby.end() }
            #expect(try Self.check(standby) == .unsuitable("it is a standby"))
        }
    }

    @Test("a clock that is more than a second away is refused, in both directions")
    func clock() async throws {
        try await besidePool {
            let server = try TemporaryPostgres(settings: Self.durable)
            defer { server.end() }
            for (difference, side) in [(-60_000, "ahead of"), (60_000, "behind")] as [(Int64, String)] {
                let clock = TestClock()
                clock.advance(byMilliseconds: difference)
                let reason = Self.reason(try Self.check(server, clock: clock.wallClock))
                #expect(reason.hasPrefix("its clock is ") && reason.contains(" ms \(side) this machine's"))
            }
        }
    }

    @Test("the time of the trip is not taken for a difference of the clocks")
    func slowTrip() {
        func verdict(clock: Int64) -> PostgresSuitability.Verdict {
            var facts = Self.good
            (facts.clock, facts.asked) = (clock, 10_000...15_000)
            return PostgresSuitability.verdict(facts)
        }
        for clock in [9_000, 12_000, 16_000] as [Int64] { #expect(verdict(clock: clock) == .suitable(warnings: [])) }
        #expect(verdict(clock: 8_999) == .unsuitable("its clock is 1001 ms behind this machine's, and 1 s is allowed"))
        #expect(verdict(clock: 16_001) == .unsuitable("its clock is 1001 ms ahead of this machine's, and 1 s is allowed"))
    }

    private static var good: PostgresFacts {
        PostgresFacts(
            clock: 0, asked: 0...0, version: 140_000, versionName: "14.0", fsync: "on", fullPageWrites: "on",
            synchronousCommit: "remote_apply",
            standbyNames: "*", encoding: "UTF8")
    }

    @Test("a version before 14, another encoding and a setting that the server does not have are refused")
    func facts() {
        #expect(PostgresSuitability.verdict(Self.good) == .suitable(warnings: []))
        func reason(_ change: (inout PostgresFacts) -> Void) -> String {
            var facts = Self.good
            change(&facts)
            return Self.reason(PostgresSuitability.verdict(facts))
        }
        #expect(reason { ($0.version, $0.versionName) = (130_014, "13.14") } == "its version is 13.14, and 14 or later is needed")
        #expect(reason { $0.encoding = "SQL_ASCII" }.contains("UTF8 is needed"))
        #expect(reason { $0.fsync = nil }.contains("its fsync is unknown"))
        #expect(reason { $0.fullPageWrites = nil }.contains("its full_page_writes is unknown"))
        #expect(reason { $0.synchronousCommit = nil }.contains("its synchronous_commit is unknown"))
    }
}
