import Commerce
import FaultPoints
import Foundation
import Logging
import Postgres
import Store

/// The connection of a write lane, and what one group after another does on it. Only the thread of the lane touches it.
final class LaneSession {
    private let name: String
    private let configuration: PostgresStoreConfiguration
    private let rules: StoreRules
    private let shared: SharedState
    private let logger: Logger
    private var connection: PostgresConnection?
    private var fence = LaneFence()
    /// Whether what a group reads is believed that writes nothing.
    private var proof = CommitProof()
    private var plans = SessionPlans()
    private var orderNumbers = OrderNumbers()
    /// Whether the last connection broke, which is logged once.
    private var isOut = false

    /// How often a group that another transaction was in the way of runs again.
    private static let collisions = 3

    init(
        _ name: String, _ configuration: PostgresStoreConfiguration, _ rules: StoreRules, _ shared: SharedState, _ logger: Logger
    ) {
        (self.name, self.configuration, self.rules, self.shared, self.logger) = (name, configuration, rules, shared, logger)
    }

    /// What a group came to.
    struct Times {
        /// Nanoseconds of the lane's own work: deciding.
        var working: UInt64 = 0
        /// Nanoseconds of the trips before a commit: reading rows, and waiting for those that another session has locked.
        var reading: UInt64 = 0
        /// Nanoseconds of the trip that writes and commits.
        var committing: UInt64 = 0
        /// Whether its jobs ran apart.
        var ranApart = false
        var failed = false
    }

    /// Makes one transaction of the group, or several where its jobs have to run apart; afterwards each job holds its final result.
    func commit(_ group: ArraySlice<any LaneJob>) -> Times {
        var times = Times()
        let oldest = group.reduce(ContinuousClock.now) { min($0, $1.submitted) }
        let deadline = oldest + configuration.patience
        do throws(GroupFailure) {
            try settle(group, before: deadline, &times)
        } catch {
            guard case .apart(let failure) = error, group.count > 1 else {
                fail(group, error)
                times.failed = true
                return times
            }
            logger.error("a write failed, its group runs again one by one", metadata: ["error": "\(failure.debugDescription)"])
            times.ranApart = true
            for index in group.indices {
                do throws(GroupFailure) {
                    try settle(group[index...index], before: deadline, &times)
                } catch {
                    fail(group[index...index], error)
                }
            }
        }
        return times
    }

    private func fail(_ group: ArraySlice<any LaneJob>, _ failure: GroupFailure) {
        for job in group { job.fail(failure.error) }
        switch failure {
        case .reconnect, .all, .unknown, .collision:
            logger.error("writes failed", metadata: ["lane": "\(name)", "error": "\(failure.error.debugDescription)"])
        case .apart:
            logger.error("a write failed", metadata: ["lane": "\(name)", "error": "\(failure.error.debugDescription)"])
        }
    }

    /// Runs the group until it is committed.
    private func settle(
        _ group: ArraySlice<any LaneJob>, before deadline: ContinuousClock.Instant, _ times: inout Times
    ) throws(GroupFailure) {
        var collisions = 0
        var pause: UInt32 = 10_000
        while true {
            do throws(GroupFailure) {
                return try run(group, before: deadline, &times)
            } catch {
                switch error {
                case .reconnect:
                    guard ContinuousClock.now < deadline else { throw error }
                    usleep(pause)
                    pause = min(pause * 2, 500_000)
                case .collision(let failure):
                    collisions += 1
                    guard collisions <= Self.collisions, ContinuousClock.now < deadline else {
                        throw group.count > 1 ? .apart(failure) : .collision(failure)
                    }
                case .apart, .all, .unknown: throw error
                }
            }
        }
    }
}

// MARK: - One group

extension LaneSession {
    private func run(
        _ group: ArraySlice<any LaneJob>, before deadline: ContinuousClock.Instant, _ times: inout Times
    ) throws(GroupFailure) {
        let began = DispatchTime.now().uptimeNanoseconds
        let connection = try connected()
        var needs = GroupNeeds()
        for job in group { needs.add(job.needs, calendar: rules.calendar) }
        try reserveOrderNumbers(needs, on: connection)
        let books = try begin(needs, on: connection)
        let read = DispatchTime.now().uptimeNanoseconds
        times.reading += read - began
        do {
            for job in group { try job.run(books) }
        } catch {
            try rollBack(connection)
            throw .apart(StoreError(of: error))
        }
        let decided = DispatchTime.now().uptimeNanoseconds
        times.working += decided - read
        guard books.hasWrites || !proof.isValid(as: shared.currentServer) else { return try rollBack(connection) }
        FaultPoint.beforeCommit.reached()
        try commit(books, on: connection, before: deadline)
        FaultPoint.afterCommit.reached()
        orderNumbers = books.orderNumbers
        shared.committed(books)
        times.committing += DispatchTime.now().uptimeNanoseconds - decided
    }

    /// The first trip: locks and reads the rows, and draws the new ids.
    private func begin(_ needs: GroupNeeds, on connection: PostgresConnection) throws(GroupFailure) -> PostgresBooks {
        var reading = GroupReading(needs, locks: true)
        var generation = 0
        let results = try send(on: connection) { batch in
            batch.begin()
            fence.begin(&batch)
            generation = plans.renew(&batch, by: shared.growth)
            reading.add(to: &batch)
        }
        plans.renewed(to: generation)
        guard fence.holds(results[1]) else {
            disconnect()
            throw .reconnect(StoreError(.unavailable, "another session has taken the lane's row"))
        }
        do {
            let (rows, ids) = try reading.read(results)
            if let count = rows.userCount { shared.users.raise(to: count) }
            return PostgresBooks(rules, rows, ids, orderNumbers)
        } catch {
            try rollBack(connection)
            throw .apart(StoreError(of: error))
        }
    }

    /// The second trip: writes the rows and commits. Where its answer is lost, the fence tells whether the commit took effect.
    private func commit(
        _ books: PostgresBooks, on connection: PostgresConnection, before deadline: ContinuousClock.Instant
    ) throws(GroupFailure) {
        let start = ContinuousClock.now
        do throws(PostgresError) {
            _ = try connection.send(within: configuration.tripTimeout) { batch in
                if books.hasWrites { GroupWrites(books: books).add(to: &batch) }
                batch.commit()
            }
            proof.committed(since: start, as: shared.currentServer)
        } catch {
            guard error.outcome == .unknown else { throw try failed(error, on: connection) }
            logger.warning(
                "the answer to a commit was lost; the lane asks whether it took effect",
                metadata: ["lane": "\(name)", "error": "\(error)"])
            leave(connection, after: error)
            try askFence(after: error, before: deadline)
        }
    }

    /// Returns if the latest group is committed.
    private func askFence(after error: PostgresError, before deadline: ContinuousClock.Instant) throws(GroupFailure) {
        var pause: UInt32 = 10_000
        while true {
            do throws(GroupFailure) {
                _ = try connected()
                break
            } catch {
                // The old session may still hold the row, and a server may be starting: both end.
                guard ContinuousClock.now < deadline else {
                    throw .unknown(
                        StoreError(.unknownOutcome, "nobody said in time whether a commit took effect", cause: error.error.cause))
                }
                usleep(pause)
                pause = min(pause * 2, 500_000)
            }
        }
        guard fence.lastGroupIsCommitted else { throw .reconnect(StoreError(of: error)) }
    }

    /// Takes numbers for new orders where the lane has too few left, in a transaction of its own: no other instance waits for a group.
    private func reserveOrderNumbers(_ needs: GroupNeeds, on connection: PostgresConnection) throws(GroupFailure) {
        for (day, count) in needs.orderNumbers where !orderNumbers.has(count, of: day) {
            let size = max(OrderNumbers.blockSize, Int64(count))
            let results = try send(on: connection) { batch in
                batch.execute(Self.takeNumbers) {
                    $0.int8(day.number)
                    $0.int8(size)
                }
            }
            do throws(PostgresError) {
                orderNumbers.add(size, endingWith: try results[0].value(0, 0), of: day)
            } catch {
                throw .apart(StoreError(of: error))
            }
        }
    }

    private static let takeNumbers = PostgresStatement(
        "take_numbers",
        """
        INSERT INTO order_counters (day, last) VALUES ($1, $2)
        ON CONFLICT (day) DO UPDATE SET last = order_counters.last + $2 RETURNING last
        """, .int8, .int8)
}

// MARK: - The connection

extension LaneSession {
    /// The connection, made where there is none. The fence then knows which group was the last that was committed.
    private func connected() throws(GroupFailure) -> PostgresConnection {
        if let connection, connection.isOpen, !shared.currentServer.hasLeft(connection.host) { return connection }
        disconnect()
        do throws(PostgresError) {
            let opened = try shared.currentServer.open(configuration.session("\(name) lane"))
            try prove(opened)
            connection = opened
            if isOut { logger.notice("the lane is connected again", metadata: ["lane": "\(name)"]) }
            isOut = false
            return opened
        } catch {
            if !isOut {
                logger.error("the lane has no connection and tries again", metadata: ["lane": "\(name)", "error": "\(error)"])
            }
            isOut = true
            throw .reconnect(StoreError(of: error))
        }
    }

    /// Takes the fence's row: on a server that can make no commit the connection is not used.
    private func prove(_ connection: PostgresConnection) throws(PostgresError) {
        let start = ContinuousClock.now
        do throws(PostgresError) {
            if !configuration.allowsUnsuitableServer {
                if case .unsuitable(let reason) = try PostgresSuitability.check(connection, within: configuration.tripTimeout) {
                    throw PostgresError(.wrongRole, .notSent, "the server must not hold the store: \(reason)")
                }
            }
            try fence.take(on: connection, within: configuration.tripTimeout)
        } catch {
            shared.currentServer.passOver(connection.host)
            throw error
        }
        shared.currentServer.committed(on: connection.host)
        proof.committed(since: start, as: shared.currentServer)
    }

    private func send(
        on connection: PostgresConnection, _ build: (inout PostgresBatch) -> Void
    ) throws(GroupFailure) -> PostgresResults {
        do throws(PostgresError) {
            return try connection.send(within: configuration.tripTimeout, build)
        } catch {
            // Nothing is committed before the second trip.
            throw try failed(error, on: connection)
        }
    }

    /// What a failed trip means whose transaction is not committed, which is ended.
    private func failed(_ error: PostgresError, on connection: PostgresConnection) throws(GroupFailure) -> GroupFailure {
        guard error.outcome != .unknown, connection.isOpen else {
            leave(connection, after: error)
            return .reconnect(StoreError(of: error))
        }
        let failure = GroupFailure(error)
        if case .reconnect = failure { disconnect() } else { try rollBack(connection) }
        return failure
    }

    private func rollBack(_ connection: PostgresConnection) throws(GroupFailure) {
        do throws(PostgresError) {
            try connection.rollBack(within: configuration.tripTimeout)
        } catch {
            // The server rolls back the transaction of a session that ends.
            logger.debug("a transaction was rolled back by closing its session", metadata: ["lane": "\(name)", "error": "\(error)"])
            disconnect()
        }
    }

    /// Ends the session. Where the server did not answer in time, others are tried first.
    private func leave(_ connection: PostgresConnection, after error: PostgresError) {
        if error.code == .timedOut { shared.currentServer.passOver(connection.host) }
        disconnect()
    }

    private func disconnect() {
        connection?.close()
        connection = nil
    }

    /// Connects before the first group.
    func open() throws(StoreError) {
        do throws(GroupFailure) {
            _ = try connected()
        } catch {
            throw error.error
        }
    }

    /// Removes the lane's row and ends the session.
    func close() {
        if let connection, connection.isOpen {
            do throws(PostgresError) {
                try fence.remove(on: connection, within: configuration.tripTimeout)
            } catch {
                logger.notice("the lane's row stays in the store", metadata: ["lane": "\(name)", "error": "\(error)"])
            }
        }
        disconnect()
    }
}
