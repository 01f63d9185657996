package import Commerce
package import Postgres

/// Checks whether a PostgreSQL server may hold the store.
package enum PostgresSuitability {
    package enum Verdict: Sendable, Hashable {
        /// Each warning is one line, for the operator to see at every start.
        case suitable(warnings: [String])
        /// Why the server must not be used, in one line.
        case unsuitable(String)
    }

    /// Pipelines, `client_connection_check_interval` and `in_hot_standby` came with PostgreSQL 14.
    static let leastVersion = 140_000
    /// How far the clocks may be apart, in milliseconds: times of orders and payments are the service's, leases are the server's.
    static let largestClockDifference: Int64 = 1_000

    /// Asks a server for its settings, in one trip.
    ///
    /// - Parameters:
    ///   - connection: has the session settings of those that will write, but none that a server before 14 refuses.
    ///   - time: how long the server may take.
    package static func check(
        _ connection: PostgresConnection, within time: Duration, clock: WallClock = .system
    ) throws(PostgresError) -> Verdict {
        let before = clock.now.milliseconds
        let row = try connection.send(within: time) { $0.execute(question) }[0]
        let after = clock.now.milliseconds
        var facts = PostgresFacts(clock: try row.value(0, 0), asked: before...max(before, after))
        (facts.version, facts.versionName) = (try row.value(0, 1), try row.value(0, 2))
        (facts.isStandby, facts.readsOnly) = (try row.value(0, 3), try row.value(0, 4) == "on" as String?)
        (facts.fsync, facts.fullPageWrites) = (try row.value(0, 5), try row.value(0, 6))
        (facts.synchronousCommit, facts.standbyNames) = (try row.value(0, 7), try row.value(0, 8))
        facts.encoding = try row.value(0, 9)
        return verdict(facts)
    }

    private static let question = PostgresStatement(
        nil,
        """
        SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, current_setting('server_version_num')::integer,
            current_setting('server_version'), pg_is_in_recovery(), current_setting('transaction_read_only'),
            current_setting('fsync', true), current_setting('full_page_writes', true), current_setting('synchronous_commit', true),
            current_setting('synchronous_standby_names', true), current_setting('server_encoding')
        """)

    static func verdict(_ facts: PostgresFacts) -> Verdict {
        if let fault = fault(in: facts) { return .unsuitable(fault) }
        return .suitable(warnings: warnings(for: facts))
    }

    private static func fault(in facts: PostgresFacts) -> String? {
        if facts.version < leastVersion { return "its version is \(facts.versionName), and 14 or later is needed" }
        if facts.isStandby { return "it is a standby" }
        if facts.readsOnly { return "its sessions are read-only; see default_transaction_read_only" }
        if facts.fsync != "on" { return "its fsync is \(facts.fsync ?? "unknown"), so a crash may lose everything; set it to on" }
        if facts.fullPageWrites != "on" {
            return "its full_page_writes is \(facts.fullPageWrites ?? "unknown"), so a crash may damage tables; set it to on"
        }
        guard let commit = facts.synchronousCommit, commit != "off" else {
            return "its synchronous_commit is \(facts.synchronousCommit ?? "unknown"), so a crash may lose answered writes; set it to on"
        }
        if facts.encoding != "UTF8" { return "its encoding is \(facts.encoding), and UTF8 is needed" }
        return clockFault(facts)
    }

    /// Only a difference that the time of the trip does not explain.
    private static func clockFault(_ facts: PostgresFacts) -> String? {
        let ahead = facts.clock - facts.asked.upperBound
        let behind = facts.asked.lowerBound - facts.clock
        guard max(ahead, behind) > largestClockDifference else { return nil }
        return "its clock is \(max(ahead, behind)) ms \(ahead > 0 ? "ahead of" : "behind") this machine's, and 1 s is allowed"
    }

    private static func warnings(for facts: PostgresFacts) -> [String] {
        let names = facts.standbyNames ?? ""
        if names.isEmpty {
            return ["no synchronous standby is named in synchronous_standby_names: a failover may lose writes that were answered"]
        }
        return switch facts.synchronousCommit {
        case "local": ["synchronous_commit is local, so no commit waits for a standby: a failover may lose writes that were answered"]
        case "remote_write":
            ["synchronous_commit is remote_write: a failover to a standby whose machine has crashed too may lose writes that were answered"]
        default: []
        }
    }
}

/// What a server says about itself.
struct PostgresFacts: Sendable {
    /// The server's time, in milliseconds since 1970.
    var clock: Int64
    /// This machine's time when the server was asked and when it had answered.
    var asked: ClosedRange<Int64>
    /// Such as 150018 for 15.18.
    var version = 0
    var versionName = ""
    var isStandby = false
    var readsOnly = false
    /// These settings are nil where the server does not know them.
    var fsync: String?
    var fullPageWrites: String?
    var synchronousCommit: String?
    var standbyNames: String?
    var encoding = ""
}
