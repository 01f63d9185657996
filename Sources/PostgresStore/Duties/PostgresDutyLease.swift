import Commerce
import Dispatch
import Postgres
import Store

/// The lease of the duties as the only row of the table `duties`, with the server's clock.
///
/// A transaction that only the holder may commit locks the row `FOR KEY SHARE` and compares holder and term, see ``GroupReading``. The term
/// is part of a unique key, so a take waits for the end of such transactions, and renewals do not.
///
/// Safety of `@unchecked Sendable`: the connection is touched on the queue alone.
final class PostgresDutyLease: DutyLease, @unchecked Sendable {
    private let holder = Int64.random(in: 1...Int64.max)
    private let configuration: PostgresConfiguration
    private let time: Duration
    private let current: CurrentServer
    private let queue = DispatchQueue(label: "store-duties")
    private var connection: PostgresConnection?

    init(_ configuration: PostgresStoreConfiguration, on current: CurrentServer) {
        time = min(configuration.tripTimeout, configuration.longestDutyTrip)
        var session = configuration.session("duties")
        session.connectTimeout = min(session.connectTimeout, time)
        (session.session.statementTimeout, session.session.lockTimeout) = (time, time)
        (self.configuration, self.current) = (session, current)
    }

    func take(after patience: Duration, isSuccessor: Bool) async throws(StoreError) -> DutyTaking {
        try await onQueue { [self] in
            let results = try send { batch in
                batch.execute(Self.take) {
                    $0.int8(holder)
                    $0.int8(Int64(patience / .milliseconds(1)))
                }
                if isSuccessor { batch.execute(Self.noteSuccessor) { $0.int8(holder) } }
                batch.execute(Self.look)
            }
            let (taken, look) = (results[0], results[isSuccessor ? 2 : 1])
            guard taken.rowCount == 1 else { return .held(rest: .milliseconds(try look.value(0, 4, as: Int64.self))) }
            committed()
            return .taken(DutyMark(holder: holder, term: try taken.value(0, 0)), try Self.news(look))
        }
    }

    func renew(_ term: DutyMark) async throws(StoreError) -> DutyNews? {
        try await onQueue { [self] in
            let results = try send { batch in
                batch.execute(Self.renew) {
                    $0.int8(term.holder)
                    $0.int8(term.term)
                }
                batch.execute(Self.look)
            }
            guard results[0].affectedRows == 1 else { return nil }
            committed()
            return try Self.news(results[1])
        }
    }

    func release(_ term: DutyMark) async throws(StoreError) {
        try await onQueue { [self] in
            _ = try send { batch in
                batch.execute(Self.release) {
                    $0.int8(term.holder)
                    $0.int8(term.term)
                }
            }
        }
    }

    func report(_ report: ServiceReport) async throws(StoreError) {
        try await onQueue { [self] in
            let rates = report.rates
            _ = try send { batch in
                batch.execute(Self.report) {
                    $0.text(report.name)
                    $0.int8(holder)
                    for rate in [rates.claimsWon, rates.claimsRefused, rates.payments, rates.paid] {
                        $0.int8(Int64(exactly: (min(max(rate, 0), 1e12) * 1_000).rounded()) ?? 0)
                    }
                }
                batch.execute(Self.removeReports)
            }
        }
    }

    func close() {
        queue.sync {
            connection?.close()
            connection = nil
        }
    }
}

// MARK: - Statements

extension PostgresDutyLease {
    private static let length = "interval '5 seconds'"
    /// How long a service counts as a successor after its last note, and how much of that is left when it notes it again.
    private static let (successorLength, successorRest) = ("interval '3 seconds'", "interval '1500 milliseconds'")

    private static let take = PostgresStatement(
        "take_duties",
        """
        UPDATE duties SET holder = $1, term = term + 1, until = clock_timestamp() + \(length)
        WHERE name = 'background' AND (holder = $1 OR until < clock_timestamp() - $2 * interval '1 millisecond') RETURNING term
        """, .int8, .int8)
    /// One note serves all services that could follow, so that many of them write no more than one.
    private static let noteSuccessor = PostgresStatement(
        "note_successor",
        """
        UPDATE duties SET successor_until = clock_timestamp() + \(successorLength)
        WHERE name = 'background' AND holder <> $1 AND successor_until < clock_timestamp() + \(successorRest)
        """, .int8)
    private static let renew = PostgresStatement(
        "renew_duties",
        "UPDATE duties SET until = clock_timestamp() + \(length) WHERE name = 'background' AND holder = $1 AND term = $2", .int8, .int8)
    private static let release = PostgresStatement(
        "release_duties",
        "UPDATE duties SET holder = 0, until = clock_timestamp() WHERE name = 'background' AND holder = $1 AND term = $2", .int8, .int8)
    private static let report = PostgresStatement(
        "report_service",
        """
        INSERT INTO services (name, holder, seen_at, claims_won, claims_refused, payments, paid)
        VALUES ($1, $2, clock_timestamp(), $3, $4, $5, $6)
        ON CONFLICT (name) DO UPDATE SET (holder, seen_at, claims_won, claims_refused, payments, paid)
            = (excluded.holder, excluded.seen_at, excluded.claims_won, excluded.claims_refused, excluded.payments, excluded.paid)
        """, .text, .int8, .int8, .int8, .int8, .int8)
    private static let removeReports = PostgresStatement(
        "remove_reports", "DELETE FROM services WHERE seen_at < clock_timestamp() - interval '60 seconds'")
    private static let look = PostgresStatement(
        "look_at_duties",
        """
        SELECT successor_until > clock_timestamp(), (SELECT last FROM counters WHERE name = 'events'),
            (SELECT last FROM counters WHERE name = 'retries'),
            (SELECT expires_at FROM orders WHERE status = 0 ORDER BY expires_at LIMIT 1),
            (extract(epoch FROM greatest(until - clock_timestamp(), interval '0')) * 1000)::bigint
        FROM duties WHERE name = 'background'
        """)

    private static func news(_ result: PostgresResult) throws -> DutyNews {
        let expiry: Int64? = try result.value(0, 3)
        return DutyNews(
            hasSuccessor: try result.value(0, 0), events: try result.value(0, 1), retries: try result.value(0, 2),
            nextExpiry: expiry.map { Instant(milliseconds: $0) })
    }
}

// MARK: - On the queue

extension PostgresDutyLease {
    private func onQueue<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws(StoreError) -> Value {
        let result: Result<Value, StoreError> = await withUnsafeContinuation { continuation in
            queue.async { continuation.resume(returning: Result(catching: body).mapError { StoreError(of: $0) }) }
        }
        return try result.get()
    }

    private func send(_ build: (inout PostgresBatch) -> Void) throws -> PostgresResults {
        let connection = try connected()
        do {
            return try connection.send(within: time, build)
        } catch {
            if error.outcome != .refused || !connection.isOpen {
                if error.code == .timedOut { current.passOver(connection.host) }
                disconnect()
            }
            throw error
        }
    }

    private func connected() throws -> PostgresConnection {
        if let connection, connection.isOpen, !current.hasLeft(connection.host) { return connection }
        disconnect()
        let opened = try current.open(configuration)
        connection = opened
        return opened
    }

    /// A renewal is a commit, which only a primary makes.
    private func committed() { if let connection { current.committed(on: connection.host) } }

    private func disconnect() {
        connection?.close()
        connection = nil
    }
}
