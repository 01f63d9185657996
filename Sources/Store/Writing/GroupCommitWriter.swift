import Dispatch
import FaultPoints
import Foundation
import GRDB
import GRDBSQLite
import Histograms
import Logging
import Synchronization

/// One thread that owns the write connection and commits whatever waits as one transaction.
///
/// Jobs that arrive while a commit is flushed to the disk form the next group. So an fsync is shared by as many jobs as arrived during
/// the one before, and a lone job waits for no other. Results are delivered only after the commit is durable.
///
/// A job first decides (reads), then writes; a refusal comes before the first write, so a group needs no savepoints. When a job
/// throws, the group is rolled back and its jobs run again with a savepoint each: the failing one then fails alone.
final class GroupCommitWriter: Sendable {
    private let queue: WriteQueue
    private let connection: DatabaseQueue
    private let options: StoreOptions
    private let log: WriteAheadLog
    private let endReads: @Sendable (ContinuousClock.Instant) -> Int
    private let logger: Logger
    let rowVersions = RowVersions()
    var load: WriterLoad { queue.load }
    private let counters = Mutex(StoreStatistics())
    private let groupSizes = Histogram(StoreStatistics.groupSizeBounds)
    private let commitTimes = Histogram(.times)
    private let outage = Mutex<Outage?>(nil)
    private let thread = DispatchGroup()

    /// Consecutive groups that failed for the same reason.
    private struct Outage {
        let reason: String
        var groups = 1
    }

    /// Starts the thread.
    ///
    /// - Parameter endReads: ends the reads of this process that began before an instant, and returns their number; called on the
    ///   writer's thread while the write-ahead log is too long.
    init(
        connection: DatabaseQueue, options: StoreOptions, eventBase: Int64 = 0, users: UserCount = UserCount(),
        dueWork: DueWorkListeners = DueWorkListeners(), logger: Logger, endReads: @escaping @Sendable (ContinuousClock.Instant) -> Int
    ) {
        self.connection = connection
        self.options = options
        self.endReads = endReads
        log = WriteAheadLog(ofStoreAt: connection.path)
        self.logger = logger
        queue = WriteQueue(limit: options.maximumQueued, maximumGroup: options.maximumGroup)
        thread.enter()
        let worker = Thread { [self] in
            // The thread enters the connection's queue once and stays in it: a job pays no dispatch.
            connection.unsafeReentrantWrite { db in
                rowVersions.watch(db)
                let books = SQLiteBooks(
                    db, rules: StoreRules(options), eventBase: eventBase, rowVersions: rowVersions, users: users, dueWork: dueWork)
                work(on: books)
            }
            thread.leave()
        }
        worker.name = "store-writer"
        worker.start()
    }

    /// Queues a job, whose result is delivered once its commit is durable, or at once, on this thread, when the job is not admitted.
    func submit(_ job: any WriteJob) {
        switch queue.append(job) {
        case .admitted:
            break
        case .full:
            counters.withLock { $0.refusedOverload += 1 }
            refuse(job, StoreError(.overloaded, "too many writes wait for the store"))
        case .closed:
            refuse(job, StoreError(.closed, "the store is closed"))
        }
    }

    private func refuse(_ job: any WriteJob, _ error: StoreError) {
        job.fail(error)
        job.deliver()
    }

    /// Commits what is queued, ends the thread and closes the connection; further jobs are refused. Blocks until then.
    func close() {
        queue.close()
        thread.wait()
        do {
            // Open readers keep the write-ahead log; truncate it so that the database file alone is complete.
            try connection.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
        } catch {
            logger.notice("the write-ahead log stays beside the store", metadata: ["error": "\(StoreError(classifying: error))"])
        }
        do {
            try connection.close()
        } catch {
            logger.error("the store's write connection did not close", metadata: ["error": "\(error)"])
        }
    }

    /// Counts since the store was opened.
    var statistics: StoreStatistics {
        var now = counters.withLock { $0 }
        now.queueDepth = queue.depth
        now.walBytes = log.bytes
        (now.groupSizes, now.commitTimes) = (groupSizes.snapshot, commitTimes.snapshot)
        return now
    }
}

// MARK: - On the writer thread

extension GroupCommitWriter {
    private func work(on books: SQLiteBooks) {
        var jobs: [any WriteJob] = []
        var logBound = LogBound(checkpointBytes: options.checkpointBytes, limit: options.maximumLogBytes)
        while queue.takeAll(into: &jobs) {
            if options.groupDelayMicroseconds > 0 { usleep(options.groupDelayMicroseconds) }
            var start = 0
            while start < jobs.count {
                let group = nextGroup(of: jobs[start...])
                queue.load.beginGroup(of: Self.weight(of: group))
                commit(group, on: books)
                books.transactionEnded()
                queue.answered(weight: Self.weight(of: group))
                deliver(group)
                queue.load.endGroup()
                enforce(&logBound, on: books.db)
                start = group.endIndex
            }
            jobs.removeAll(keepingCapacity: true)
        }
    }

    /// The first jobs, as many as one transaction takes; at least one.
    private func nextGroup(of jobs: ArraySlice<any WriteJob>) -> ArraySlice<any WriteJob> {
        var weight = 0
        let end = jobs.firstIndex { job in
            weight += job.weight
            return weight > options.maximumGroup
        }
        return jobs[..<max(end ?? jobs.endIndex, jobs.startIndex + 1)]
    }

    /// Makes one transaction of the group; afterwards each job holds its final result.
    private func commit(_ group: ArraySlice<any WriteJob>, on books: SQLiteBooks) {
        let db = books.db
        let began = DispatchTime.now().uptimeNanoseconds
        do {
            try db.run("BEGIN IMMEDIATE")
            if try !runTogether(group, on: books) {
                counters.withLock { $0.regroups += 1 }
                try runApart(group, on: books)
            }
            let decided = DispatchTime.now().uptimeNanoseconds
            FaultPoint.beforeCommit.reached()
            try db.run("COMMIT")
            FaultPoint.afterCommit.reached()
            let durable = DispatchTime.now().uptimeNanoseconds
            books.committed()
            count(Self.weight(of: group), working: decided - began, committing: durable - decided)
            queue.load.committed(Self.weight(of: group), working: decided - began, committing: durable - decided)
            logEndOfOutage()
        } catch {
            abandon(group, after: error, on: db)
        }
    }

    /// Runs all jobs in the open transaction; `false` when one failed, and then the transaction is as it began.
    private func runTogether(_ group: ArraySlice<any WriteJob>, on books: SQLiteBooks) throws -> Bool {
        do {
            for job in group { try job.run(books) }
            try books.flush()
            return true
        } catch {
            guard !Self.concernsAll(error) else { throw error }
            logger.error("a write failed, its group runs again one by one", metadata: ["error": "\(error)"])
            try books.db.run("ROLLBACK")
            books.rolledBack()
            try books.db.run("BEGIN IMMEDIATE")
            return false
        }
    }

    /// Runs each job in a savepoint of its own, so that one that fails undoes only itself.
    private func runApart(_ group: ArraySlice<any WriteJob>, on books: SQLiteBooks) throws {
        let db = books.db
        for job in group {
            try db.run("SAVEPOINT job")
            let notes = books.notes
            do {
                try job.run(books)
                try books.flush()
            } catch {
                guard !Self.concernsAll(error) else { throw error }
                job.fail(StoreError(classifying: error))
                try db.run("ROLLBACK TO job")
                books.rolledBack(to: notes)
            }
            try db.run("RELEASE job")
        }
    }

    /// Fails all jobs of a group that was not committed. The next group begins a new transaction, so writing works again as soon as its
    /// cause has gone.
    private func abandon(_ group: ArraySlice<any WriteJob>, after error: any Error, on db: Database) {
        let classified = StoreError(classifying: error)
        // Whatever the cause, for the callers the store was unable to write.
        let failure = classified.code == .corrupt ? classified : StoreError(.unavailable, classified.message, cause: classified.cause)
        for job in group { job.fail(failure) }
        counters.withLock { $0.commitFailures += 1 }
        logOutage(failure)
        // After some failures SQLite has rolled back by itself; after others this has to do it.
        guard db.isInsideTransaction else { return }
        do {
            try db.run("ROLLBACK")
        } catch {
            logger.critical("the store cannot roll back", metadata: ["error": "\(error)"])
        }
    }

    /// Logs once when writing begins to fail, and not for each group: the log may be on the disk that is full.
    private func logOutage(_ failure: StoreError) {
        let isNews = outage.withLock { outage in
            if outage?.reason == failure.message {
                outage?.groups += 1
                return false
            }
            outage = Outage(reason: failure.message)
            return true
        }
        guard isNews else { return }
        logger.error("the store cannot write, and goes on when it can again", metadata: ["error": "\(failure.debugDescription)"])
    }

    private func logEndOfOutage() {
        guard let past = outage.withLock({ $0.take() }) else { return }
        logger.notice("the store writes again", metadata: ["failed": "\(past.groups)", "after": "\(past.reason)"])
    }

    /// Whether an error concerns the whole store and not one job: then running the jobs one by one would fail as well.
    private static func concernsAll(_ error: any Error) -> Bool {
        switch StoreError(classifying: error).code {
        case .unavailable, .corrupt: true
        case .malformedRow, .overloaded, .newerVersion, .closed, .readOnly, .invalidCursor, .cancelled, .unknownOutcome, .internal: false
        }
    }

    /// Bounds the write-ahead log: otherwise it would fill the disk while a reader does not end.
    private func enforce(_ bound: inout LogBound, on db: Database) {
        let bytes = log.bytes
        switch bound.committed(bytes: bytes, at: .now) {
        case .nothing: break
        case .restart:
            if !restartLog(on: db) { bound.restartFailed(at: .now) }
        case .endReads(let instant, let isNews):
            let count = endReads(instant)
            counters.withLock { $0.readsEnded += count }
            guard isNews else { return }
            logger.warning(
                "the write-ahead log is past its bound, because a reader in this process or another still needs it",
                metadata: ["bytes": "\(bytes)", "bound": "\(options.maximumLogBytes)", "readsEnded": "\(count)"])
        case .sayShort(let duration):
            logger.notice("the write-ahead log is short again", metadata: ["seconds": "\(duration.components.seconds)"])
        }
    }

    /// How long commits wait for the readers of a log that has to start over.
    private static let restartWaitMilliseconds: CInt = 20

    /// Copies the log back and waits until the reads that need it have ended; false where one goes on. The next commit starts it over.
    private func restartLog(on db: Database) -> Bool {
        sqlite3_busy_timeout(db.sqliteConnection, Self.restartWaitMilliseconds)
        defer { sqlite3_busy_timeout(db.sqliteConnection, CInt(options.busyTimeoutMilliseconds)) }
        do {
            return try db.integer("PRAGMA wal_checkpoint(RESTART)") == 0
        } catch {
            logger.debug("the write-ahead log was not copied back", metadata: ["error": "\(error)"])
            return false
        }
    }

    private static func weight(of group: ArraySlice<any WriteJob>) -> Int { group.reduce(0) { $0 + $1.weight } }

    private func count(_ writes: Int, working: UInt64, committing: UInt64) {
        groupSizes.record(writes)
        commitTimes.record(Int(clamping: committing))
        counters.withLock { counters in
            counters.groups += 1
            counters.jobs += writes
            counters.largestGroup = max(counters.largestGroup, writes)
            counters.workSeconds += Double(working) / 1e9
            counters.commitSeconds += Double(committing) / 1e9
        }
    }

    /// Hands each context all of its results in one call.
    private func deliver(_ group: ArraySlice<any WriteJob>) {
        var byContext: [ObjectIdentifier: (context: any DeliveryContext, jobs: [any WriteJob])] = [:]
        for job in group {
            guard let context = job.context else {
                job.deliver()
                continue
            }
            byContext[ObjectIdentifier(context), default: (context, [])].jobs.append(job)
        }
        for (context, jobs) in byContext.values {
            context.deliver { for job in jobs { job.deliver() } }
        }
    }
}
