package import Postgres

/// How the store uses its PostgreSQL server.
package struct PostgresStoreConfiguration: Sendable {
    /// The server and its session settings; what follows is set on top of it.
    package var connection: PostgresConfiguration
    /// How long a write or a look-up waits for a server that does not answer before its caller gets an error.
    package var patience: Duration = .seconds(10)
    /// How long a trip may take, its commit included. Past it, the connection is closed and the fence tells what became of the trip.
    package var tripTimeout: Duration = .seconds(5)
    /// How long a trip for the lease of the duties may take: so short that a second one on another connection fits into ``DutyTerm/length``.
    package var longestDutyTrip: Duration = .seconds(2)
    /// How long a query of the background duties may take, which read some thousand rows at most or sum the last days' sales: without a
    /// limit, a connection that has fallen silent would stop the duties of all services. Commands that read whole tables have an hour.
    package var dutyQueryTimeout: Duration = .seconds(30)
    /// How long a statement waits for a row that another instance has locked.
    package var lockTimeout: Duration = .seconds(2)
    /// How long a stopped instance may hold locks between its two trips.
    package var idleInTransactionTimeout: Duration = .seconds(3)
    /// The most writes in one transaction: bounds how long it holds its locks.
    package var maximumGroup = 256
    /// Serves also from a server that may lose answered writes, see ``PostgresSuitability``; for tests.
    package var allowsUnsuitableServer = false

    package init(connection: PostgresConfiguration) { self.connection = connection }

    /// The connection with a server that takes writes: a standby would serve rows that are out of date.
    var primary: PostgresConfiguration {
        var primary = connection
        if primary.endpoint.role == .any { primary.endpoint.role = .readWrite }
        return primary
    }

    /// The configuration of a session.
    ///
    /// - Parameter findsByKeys: whether its statements find their rows by keys, with parameters of every call.
    func session(_ name: String, findsByKeys: Bool = true) -> PostgresConfiguration {
        var configuration = primary
        configuration.connectTimeout = min(configuration.connectTimeout, patience)
        configuration.session.applicationName = "firstcome \(name)"
        configuration.session.statementTimeout = tripTimeout
        configuration.session.lockTimeout = lockTimeout
        configuration.session.idleInTransactionTimeout = idleInTransactionTimeout
        configuration.session.clientConnectionCheckInterval = .seconds(1)
        configuration.session.settings["jit"] = "off"
        configuration.session.settings["default_transaction_isolation"] = "read committed"
        if findsByKeys { configuration.session.settings.merge(Self.plansByKey) { $1 } }
        return configuration
    }

    /// One plan is right for all parameters, and planning each time would cost more than running. It has to go through the indexes: the
    /// server would plan to read a whole table that is still small, and keep that plan until it analyzes the table.
    private static let plansByKey = [
        "plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
    ]
}
