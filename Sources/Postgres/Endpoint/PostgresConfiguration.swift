/// How a connection is made, and what holds for its session.
package struct PostgresConfiguration: Sendable {
    package var endpoint: PostgresEndpoint
    /// How long connecting may take, with all hosts, TLS and the password.
    package var connectTimeout: Duration = .seconds(10)
    /// How long one address of one host may take, so that a silent one leaves time for the others. The last one has all that remains.
    package var addressTimeout: Duration = .seconds(3)
    package var session = PostgresSession()
    package var tcp = TCPSettings()
    /// What is asked while the server does not answer; nil where every trip waits for its deadline.
    package var silence: SilenceCheck?

    /// The option `connect_timeout` of the URL, in seconds, is for each host, as it is with libpq.
    package init(endpoint: PostgresEndpoint) {
        self.endpoint = endpoint
        if let seconds = endpoint.options["connect_timeout"].flatMap({ Int64($0) }), seconds > 0 {
            addressTimeout = .seconds(seconds)
            connectTimeout = addressTimeout * endpoint.hosts.count
        }
    }

    /// How the kernel finds out that the other side is gone (tcp(7)). Options of the URL come first.
    package struct TCPSettings: Sendable {
        /// How long sent bytes may stay unacknowledged before the kernel closes the connection: `TCP_USER_TIMEOUT`.
        package var userTimeout: Duration = .seconds(10)
        /// Seconds of silence before the first probe.
        package var keepalivesIdle = 10
        /// Seconds between two probes.
        package var keepalivesInterval = 5
        /// Unanswered probes after which the kernel closes the connection.
        package var keepalivesCount = 3
    }
}

/// Whether a trip that is not answered is given up before its deadline.
package struct SilenceCheck: Sendable {
    /// How long the server has to be silent before it is asked, and between two times.
    package var interval: Duration
    /// Called on the thread that waits, which it may block. True closes the connection, as the end of the deadline does.
    package var givesUp: @Sendable (PostgresEndpoint.Host) -> Bool

    package init(interval: Duration, givesUp: @escaping @Sendable (PostgresEndpoint.Host) -> Bool) {
        (self.interval, self.givesUp) = (interval, givesUp)
    }
}

/// Settings of the server for one session, set as it begins. Nil leaves the server's own.
package struct PostgresSession: Sendable {
    /// What `pg_stat_activity` shows.
    package var applicationName: String?
    /// Ends a statement that runs for longer: `.statementCancelled`.
    package var statementTimeout: Duration?
    /// Ends a statement that waits for a lock for longer: `.lockNotAvailable`.
    package var lockTimeout: Duration?
    /// Ends the session when a transaction has been waiting for its client for longer.
    package var idleInTransactionTimeout: Duration?
    /// How often the server looks whether the client is still there while a statement runs (PostgreSQL 14).
    package var clientConnectionCheckInterval: Duration?
    /// Other settings by their names, such as `synchronous_commit`.
    package var settings: [String: String] = [:]

    package init() {}

    /// The settings in the form of the server's command line: `-c name=value`, with a backslash before spaces and backslashes.
    var commandLine: String {
        var all = settings
        all["statement_timeout"] = statementTimeout.map(Self.milliseconds)
        all["lock_timeout"] = lockTimeout.map(Self.milliseconds)
        all["idle_in_transaction_session_timeout"] = idleInTransactionTimeout.map(Self.milliseconds)
        all["client_connection_check_interval"] = clientConnectionCheckInterval.map(Self.milliseconds)
        return all.sorted { $0.key < $1.key }.map { "-c \(Self.escaped("\($0.key)=\($0.value)"))" }.joined(separator: " ")
    }

    private static func escaped(_ text: String) -> String {
        String(text.flatMap { $0 == "\\" || $0.isWhitespace ? ["\\", $0] : [$0] })
    }

    /// At least 1, since 0 turns a time-out off.
    private static func milliseconds(_ time: Duration) -> String { String(max(1, time.wholeMilliseconds)) }
}
