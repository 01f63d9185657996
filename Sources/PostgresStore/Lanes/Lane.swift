import Dispatch
import Foundation
import Histograms
import Logging
import Store
import Synchronization

/// One thread with one connection, which commits whatever waits as one transaction: two trips and one commit, however many jobs.
///
/// Jobs that arrive while a group is under way form the next one. They are decided in the order in which they were submitted to the lane;
/// those of another lane or instance may be decided at the same time, and wait where they need the same rows.
final class Lane: Sendable {
    private let queue: LaneQueue<any LaneJob>
    private let maximumGroup: Int
    private let counters = Mutex(StoreStatistics())
    private let groupSizes = Histogram(StoreStatistics.groupSizeBounds)
    private let commitTimes = Histogram(.times)
    private let thread = DispatchGroup()

    var load: WriterLoad { queue.load }

    /// Starts the thread, which connects with its first group.
    init(
        _ name: String, _ configuration: PostgresStoreConfiguration, maximumQueued: Int, rules: StoreRules, shared: SharedState,
        logger: Logger
    ) {
        maximumGroup = configuration.maximumGroup
        queue = LaneQueue(limit: maximumQueued, maximumGroup: configuration.maximumGroup)
        thread.enter()
        let worker = Thread { [self] in
            let session = LaneSession(name, configuration, rules, shared, logger)
            work(on: session)
            session.close()
            thread.leave()
        }
        worker.name = "store-\(name)"
        worker.start()
    }

    /// Queues a job, whose result is delivered once its commit is durable, or at once, on this thread, when the job is not admitted.
    func submit(_ job: any LaneJob) {
        switch queue.append(job, weight: job.weight) {
        case .admitted: return
        case .full:
            counters.withLock { $0.refusedOverload += 1 }
            job.fail(StoreError(.overloaded, "too many writes wait for the store"))
        case .closed: job.fail(StoreError(.closed, "the store is closed"))
        }
        job.deliver()
    }

    /// Commits what is queued and ends the thread; further jobs are refused. Blocks until then.
    func close() {
        queue.close()
        thread.wait()
    }

    /// Counts since the lane was opened.
    var statistics: StoreStatistics {
        var now = counters.withLock { $0 }
        now.queueDepth = queue.depth
        (now.groupSizes, now.commitTimes) = (groupSizes.snapshot, commitTimes.snapshot)
        return now
    }
}

// MARK: - On the lane's thread

extension Lane {
    private func work(on session: LaneSession) {
        var jobs: [any LaneJob] = []
        var gathering = GroupGathering()
        while queue.takeAll(into: &jobs, gathering: gathering.wait) {
            gathering.took(Self.weight(of: jobs[...]))
            var start = 0
            while start < jobs.count {
                let group = nextGroup(of: jobs[start...])
                let weight = Self.weight(of: group)
                queue.load.beginGroup(of: weight)
                let times = session.commit(group)
                count(weight, times)
                let waiting = queue.answered(weight: weight)
                group.map { $0 as any LaneWork }.deliverAll()
                queue.load.endGroup()
                gathering.ended(
                    group.count > 1 && !times.failed ? weight : nil, waiting: waiting, trips: times.reading + times.committing)
                start = group.endIndex
            }
            jobs.removeAll(keepingCapacity: true)
        }
    }

    /// The first jobs, as many as one transaction takes; at least one.
    private func nextGroup(of jobs: ArraySlice<any LaneJob>) -> ArraySlice<any LaneJob> {
        var weight = 0
        let end = jobs.firstIndex { job in
            weight += job.weight
            return weight > maximumGroup
        }
        return jobs[..<max(end ?? jobs.endIndex, jobs.startIndex + 1)]
    }

    private static func weight(of group: ArraySlice<any LaneJob>) -> Int { group.reduce(0) { $0 + $1.weight } }

    private func count(_ writes: Int, _ times: LaneSession.Times) {
        if !times.failed {
            groupSizes.record(writes)
            commitTimes.record(Int(clamping: times.committing))
            // Both trips take as long for a large group as for a small one: only what each write adds grows with the queue.
            queue.load.committed(writes, working: times.working, committing: times.reading + times.committing)
        }
        counters.withLock { counters in
            if times.ranApart { counters.regroups += 1 }
            guard !times.failed else {
                counters.commitFailures += 1
                return
            }
            counters.groups += 1
            counters.jobs += writes
            counters.largestGroup = max(counters.largestGroup, writes)
            counters.workSeconds += Double(times.reading + times.working) / 1e9
            counters.commitSeconds += Double(times.committing) / 1e9
        }
    }
}
