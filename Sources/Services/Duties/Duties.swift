import Logging
import Store
import Synchronization

/// The background duties of all services on one store, which one of them does at a time under a lease.
///
/// The holder renews the lease each second, the others ask for it each second. A holder that is killed is followed once its lease has ended,
/// within 5 s. One that stops, or that has no Redis, hands the duties over, where another service has noted that it could do them at once;
/// where none has, it keeps them. Every duty is also harmless when two services do it, so only delivery's marks are fenced by the term.
///
/// The state lives in a mutex.
final class Duties: Sendable {
    private let lease: any DutyLease
    private let isRedisConnected: @Sendable () -> Bool
    private let logger: Logger
    private let state = Mutex(State())
    /// Raised when a term begins or ends, and when a duty has ended with its term.
    private let changed = Wakeup()
    /// Raised to renew or to ask before the second is over.
    private let prompt = Wakeup()
    /// Raised when a term begins.
    let begun = Wakeup()
    /// Called with what commits of all services have made due, each second at most.
    private let onDueWork: @Sendable (DueWork) -> Void

    private struct State {
        /// The present term; nil while another service has the lease.
        var term: DutyTerm?
        var taken = 0
        /// How many duties are being done.
        var running = 0
        var isEnding = false
        var news: DutyNews?
        var lastConnected: ContinuousClock.Instant?
        /// Whether the last attempt failed, which is logged once.
        var isOut = false
        /// What makes this service's reports; nil before the service listens.
        var makeReport: (@Sendable () -> ServiceReport)?
        var lastReport: ContinuousClock.Instant?
    }

    /// The time between two renewals, or two attempts to take the lease.
    private static let interval: Duration = .seconds(1)
    /// How long a service without Redis keeps the duties: longer than others count as successors after they have lost it too.
    private static let patienceWithRedis: Duration = .seconds(4)
    /// How long the lease has to be free before a service takes it that has no Redis, or that stops.
    private static let patienceOfUnfit: Duration = .seconds(3)
    /// How long the steps of a term that is handed over may go on.
    private static let timeToEnd: Duration = .seconds(1)

    init(
        _ lease: any DutyLease, isRedisConnected: @escaping @Sendable () -> Bool, logger: Logger,
        onDueWork: @escaping @Sendable (DueWork) -> Void
    ) {
        (self.lease, self.isRedisConnected, self.logger, self.onDueWork) = (lease, isRedisConnected, logger, onDueWork)
    }

    /// Has the service report about itself, each time behind a renewal or an attempt.
    func report(by make: @escaping @Sendable () -> ServiceReport) { state.withLock { $0.makeReport = make } }

    /// Whether this service does the duties.
    var areHeld: Bool { state.withLock { $0.term?.isValid ?? false } }

    /// How often this service has taken them.
    var taken: Int { state.withLock { $0.taken } }

    /// Hands the duties over as soon as another service can do them, because this one is about to stop.
    func announceEnd() {
        state.withLock { $0.isEnding = true }
        prompt.raise()
    }

    /// Takes and renews the lease until the task is cancelled, then releases it.
    func run() async {
        await withTaskGroup { group in
            group.addTask {
                while !Task.isCancelled {
                    let seen = self.prompt.count
                    await self.prompt.wait(past: seen, atMost: await self.turn())
                }
            }
            group.addTask { await self.endWithLease() }
            await group.waitForAll()
        }
        // The task is cancelled, and the release must not be.
        await Task { [self] in await end() }.value
        lease.close()
    }
}

// MARK: - The lease

extension Duties {
    /// Renews the lease or asks for it, and returns the time until the next turn.
    private func turn() async -> Duration {
        let start = ContinuousClock.now
        let (term, isConnected, isFit) = state.withLock { state in
            let isConnected = isRedisConnected()
            if isConnected { state.lastConnected = start }
            let hasRedis = state.lastConnected.map { start - $0 < Self.patienceWithRedis } ?? false
            return (state.term, isConnected, hasRedis && !state.isEnding)
        }
        do {
            var pause = Self.interval
            if let term {
                try await renew(term, isFit: isFit, since: start)
            } else {
                pause = try await take(isFit: isFit && isConnected, since: start)
            }
            await report()
            return pause
        } catch {
            noteFailure(error)
            return Self.interval / 4
        }
    }

    /// Reports about this service where a report is due. One that fails is left out: whoever watches sees that the service is silent.
    private func report() async {
        let now = ContinuousClock.now
        let make = state.withLock { state -> (@Sendable () -> ServiceReport)? in
            if let last = state.lastReport, now - last < ServiceReport.interval { return nil }
            state.lastReport = state.makeReport.map { _ in now }
            return state.makeReport
        }
        if let make { try? await lease.report(make()) }
    }

    private func renew(_ term: DutyTerm, isFit: Bool, since start: ContinuousClock.Instant) async throws {
        guard let news = try await lease.renew(term.mark) else {
            if drop(term) { logger.notice("another service does the background duties now") }
            return
        }
        term.renewed(since: start)
        tell(news)
        guard !isFit, news.hasSuccessor, drop(term) else { return }
        await ended(within: Self.timeToEnd)
        await release(term)
    }

    private func take(isFit: Bool, since start: ContinuousClock.Instant) async throws -> Duration {
        switch try await lease.take(after: isFit ? .zero : Self.patienceOfUnfit, isSuccessor: isFit) {
        case .taken(let mark, let news):
            state.withLock { state in
                state.term = DutyTerm(mark, since: start)
                state.taken += 1
                (state.news, state.isOut) = (news, false)
            }
            changed.raise()
            begun.raise()
            logger.info("this service does the background duties now", metadata: ["term": "\(mark.term)"])
            return Self.interval
        case .held(let rest):
            state.withLock { $0.isOut = false }
            // The lease of a service that was killed is taken as soon as it ends.
            return isFit ? min(Self.interval, rest + .milliseconds(20)) : Self.interval
        }
    }

    /// Releases the lease, unless the store's server did not answer the last time: then it ends by itself.
    private func end() async {
        guard let term = drop(), !state.withLock({ $0.isOut }) else { return }
        await release(term)
    }

    private func release(_ term: DutyTerm) async {
        do {
            try await lease.release(term.mark)
            logger.info("the background duties were handed over", metadata: ["term": "\(term.mark.term)"])
        } catch {
            logger.notice("the lease of the background duties ends by itself", metadata: ["error": "\(error)"])
        }
    }

    private func noteFailure(_ error: any Error) {
        let isFirst = state.withLock { state in
            defer { state.isOut = true }
            return !state.isOut
        }
        if isFirst { logger.warning("the lease of the background duties cannot be asked for", metadata: ["error": "\(error)"]) }
    }

    /// Ends the present term where its lease was not renewed in time, by this machine's clock.
    private func endWithLease() async {
        while !Task.isCancelled {
            let seen = changed.count
            guard let term = state.withLock({ $0.term }) else {
                await changed.wait(past: seen)
                continue
            }
            guard term.rest > .zero else {
                if drop(term) { logger.warning("the lease of the background duties was not renewed in time") }
                continue
            }
            await changed.wait(past: seen, atMost: term.rest)
        }
    }

    /// Ends the term for new work; false where it has ended already.
    private func drop(_ term: DutyTerm) -> Bool {
        let isPresent = state.withLock { state in
            guard state.term === term else { return false }
            (state.term, state.news) = (nil, nil)
            return true
        }
        guard isPresent else { return false }
        term.giveUp()
        changed.raise()
        return true
    }

    /// Ends the present term, and returns it.
    private func drop() -> DutyTerm? {
        guard let term = state.withLock({ $0.term }), drop(term) else { return nil }
        return term
    }

    private func tell(_ news: DutyNews) {
        let before = state.withLock { state in
            defer { (state.news, state.isOut) = (news, false) }
            return state.news
        }
        if news.events != before?.events { onDueWork(.newEvents) }
        if news.retries != before?.retries { onDueWork(.retriedEvents) }
        if let next = news.nextExpiry, next != before?.nextExpiry { onDueWork(.orderExpiry(next)) }
    }
}

// MARK: - Duties

extension Duties {
    /// Runs `work` in each term of this service, and cancels it at the term's end, until the task is cancelled.
    func whileHeld(_ work: @escaping @Sendable () async -> Void) async {
        while !Task.isCancelled {
            let seen = changed.count
            guard let term = begin() else {
                await changed.wait(past: seen)
                continue
            }
            await DutyTerm.$current.withValue(term) {
                await withTaskGroup { group in
                    group.addTask { await work() }
                    group.addTask { await self.end(of: term) }
                    await group.next()
                    group.cancelAll()
                }
            }
            state.withLock { $0.running -= 1 }
            changed.raise()
        }
    }

    /// Counts one more duty of the present term; nil where there is none.
    private func begin() -> DutyTerm? {
        state.withLock { state in
            guard let term = state.term else { return nil }
            state.running += 1
            return term
        }
    }

    private func end(of term: DutyTerm) async {
        while !Task.isCancelled {
            let seen = changed.count
            guard state.withLock({ $0.term === term }) else { return }
            await changed.wait(past: seen)
        }
    }

    /// Returns when no duty is done any more, or the time is over.
    private func ended(within limit: Duration) async {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline {
            let seen = changed.count
            if state.withLock({ $0.running }) == 0 { return }
            await changed.wait(past: seen, atMost: deadline - .now)
        }
    }

    /// Runs a step of a duty. When its task is cancelled, the step has a second to end, but no longer than the lease lasts.
    static func finishing<Value: Sendable>(_ step: @escaping @Sendable () async throws -> Value) async throws -> Value {
        guard let term = DutyTerm.current else { return try await step() }
        let task = Task { try await step() }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            let rest = min(timeToEnd, term.rest)
            guard rest > .zero else { return task.cancel() }
            Task {
                try? await Task.sleep(for: rest)
                task.cancel()
            }
        }
    }
}
