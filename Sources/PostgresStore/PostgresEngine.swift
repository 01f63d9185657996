package import Commerce
import Histograms
package import Logging
import Postgres
package import Store

/// The store's rows in PostgreSQL, for any number of instances on one database.
///
/// Three write lanes, each a thread with a connection: claims and campaigns, money and goods, and the service's own work, so that none of
/// them lengthens the locks of another. Use cases are decided in Swift on rows that the first trip of their group has locked.
package final class PostgresEngine: StoreEngine {
    /// Which store this is, as it was when it was opened.
    package let identity: StoreIdentity
    private let claims: Lane
    private let money: Lane
    private let service: Lane
    private let lookups: KeyLookups
    private let serviceReads: SnapshotLane
    private let personalReads: SnapshotLane
    private let browseReads: SnapshotLane
    private let shared = SharedState()
    private let isReadOnly: Bool
    private let configuration: PostgresStoreConfiguration

    /// Opens the store, and creates or migrates its schema where needed. Blocks until then.
    package init(_ configuration: PostgresStoreConfiguration, options: StoreOptions, logger: Logger) throws(StoreError) {
        let (identity, users) = try Self.prepare(configuration, options, logger)
        (self.identity, self.configuration) = (identity, configuration)
        isReadOnly = options.isReadOnly
        let (rules, shared) = (StoreRules(options), shared)
        shared.users.raise(to: users)
        func lane(_ name: String) -> Lane {
            Lane(name, configuration, maximumQueued: options.maximumQueued, rules: rules, shared: shared, logger: logger)
        }
        (claims, money, service) = (lane("claims"), lane("money"), lane("service"))
        let current = options.isReadOnly ? nil : shared.currentServer
        serviceReads = SnapshotLane(.service, options.serviceReads, configuration, on: current)
        personalReads = SnapshotLane(.personal, options.personalReads, configuration, on: current)
        browseReads = SnapshotLane(.browse, options.browseReads, configuration, on: current)
        lookups = KeyLookups(
            configuration, maximumQueued: options.maximumQueued, isReadOnly: options.isReadOnly, shared: shared, logger: logger)
    }

    /// How long a migration may take.
    private static let migrationTime = Duration.seconds(3_600)

    private static func prepare(
        _ configuration: PostgresStoreConfiguration, _ options: StoreOptions, _ logger: Logger
    ) throws(StoreError) -> (StoreIdentity, users: Int64) {
        do {
            var session = configuration.primary
            session.session.applicationName = "firstcome opening"
            let connection = try PostgresConnection.open(session)
            defer { connection.close() }
            if !configuration.allowsUnsuitableServer {
                switch try PostgresSuitability.check(connection, within: configuration.tripTimeout) {
                case .unsuitable(let reason): throw StoreError(.unavailable, "the server must not hold the store: \(reason)")
                // Whoever only reads has answered no write that could be lost.
                case .suitable(let warnings) where options.isReadOnly:
                    logger.debug("the store's server is suitable", metadata: ["warnings": "\(warnings)"])
                case .suitable(let warnings): for warning in warnings { logger.warning("the store's server: \(warning)") }
                }
            }
            let identity =
                options.isReadOnly
                ? try PostgresSchema.identity(of: connection, within: configuration.tripTimeout)
                : try PostgresSchema.prepare(connection, firstIncarnation: options.firstIncarnation, within: migrationTime)
            let users = try connection.send(within: configuration.tripTimeout) { batch in
                batch.execute(ReadStatements.userCountNow)
                if !options.isReadOnly { batch.execute(LaneFence.removeOldRows) }
            }
            return (identity, try users[0].value(0, 0))
        } catch {
            throw StoreError(of: error)
        }
    }

    package func close() {
        for lane in [claims, money, service] { lane.close() }
        lookups.close()
        for lane in ReadLane.allCases { self[lane].close() }
    }

    package var userCount: Int64 { shared.users.count }
    package var rowVersions: RowVersions { shared.rowVersions }
    package var dueWork: DueWorkListeners { shared.dueWork }
    package var writerLoad: WriterLoad? { isReadOnly ? nil : money.load }

    package func makeDutyLease() -> (any DutyLease)? {
        isReadOnly ? nil : PostgresDutyLease(configuration, on: shared.currentServer)
    }

    package func makePointReader() throws(StoreError) -> PointReader { PointReader(lane: lookups) }
}

// MARK: - Writes

extension PostgresEngine {
    package func submit<Case: UseCase>(
        _ useCase: Case, storing idempotency: IdempotentWrite<Case.Value>?, at time: Instant, clock: WallClock?,
        context: (any DeliveryContext)?,
        completion: @escaping @Sendable (Result<WriteResult<Case.Value>, StoreError>) -> Void
    ) {
        guard !isReadOnly else { return completion(.failure(StoreError(.readOnly, "the store was opened for reading"))) }
        var needs = useCase.needs
        if let key = idempotency?.key { needs.answers.append(key) }
        let job = PendingUseCase(weight: useCase.weight, needs: needs, time: time, clock: clock, context: context) { books in
            try books.run(useCase, storing: idempotency, at: time)
        } completion: {
            completion($0)
        }
        lane(for: needs).submit(job)
    }

    private func lane(for needs: Needs) -> Lane {
        if !needs.campaigns.isEmpty || needs.new.campaigns > 0 { return claims }
        let isService =
            !needs.events.isEmpty || !needs.grants.isEmpty || needs.outboxBounds
            || (needs.users.isEmpty && needs.products.isEmpty && needs.orders.isEmpty && needs.payments.isEmpty
                && needs.new == NewRows())
        return isService ? service : money
    }

    package var statistics: StoreStatistics {
        [claims, money, service].reduce(into: StoreStatistics()) { all, lane in
            let one = lane.statistics
            all.groups += one.groups
            all.jobs += one.jobs
            all.largestGroup = max(all.largestGroup, one.largestGroup)
            all.queueDepth += one.queueDepth
            all.refusedOverload += one.refusedOverload
            all.commitFailures += one.commitFailures
            all.regroups += one.regroups
            all.workSeconds += one.workSeconds
            all.commitSeconds += one.commitSeconds
            all.groupSizes = all.groupSizes + one.groupSizes
            all.commitTimes = all.commitTimes + one.commitTimes
            all.reads = Dictionary(uniqueKeysWithValues: ReadLane.allCases.map { ($0, self[$0].statistics) })
        }
    }
}

// MARK: - Reads

extension PostgresEngine {
    package func read<Value: Sendable>(
        _ lane: ReadLane, _ body: @escaping @Sendable (Snapshot) throws -> Value
    ) async throws(StoreError) -> Value {
        try await self[lane].read(body)
    }

    package func age(of lane: ReadLane, at now: UInt64) -> Int64 { self[lane].age(at: now) }

    private subscript(lane: ReadLane) -> SnapshotLane {
        switch lane {
        case .service: serviceReads
        case .personal: personalReads
        case .browse: browseReads
        }
    }
}

extension TransactionalStore {
    /// Opens the store on PostgreSQL, see ``PostgresEngine``. The caller must call `close()`.
    package static func open(
        _ configuration: PostgresStoreConfiguration, options: StoreOptions, logger: Logger
    ) throws(StoreError) -> TransactionalStore {
        let engine = try PostgresEngine(configuration, options: options, logger: logger)
        return TransactionalStore(engine: engine, identity: engine.identity, options: options)
    }
}
