import DequeModule
import HTTPServer
import NIOCore

/// The bounds of a ``CheckQueue``.
struct CheckLimits: Sendable {
    /// Tokens that wait. More are turned away.
    var waiting = 2_048
    /// From this number of forged tokens on (see ``SourceScores``), a source is suspect.
    var suspectFrom = 8.0
    /// Failed checks of a second that suspect sources may have, together. At 100 us for a check this is 5 % of a core.
    var failuresPerSecond = 500.0
    /// Failed checks that they may have at once, after a time without.
    var failureBurst = 500.0
}

/// The order in which signatures are checked, and which ones are not: a value without threads and clocks.
///
/// Sources take turns, one token each, so that a token waits for one check of every other source and not for all that one source has sent.
/// A source that has sent forged tokens lately is suspect. All suspect sources together may have a bounded number of failed checks in a
/// second; beyond it their tokens are turned away, those that wait already among them. So forgeries take a bounded share of the machine,
/// and a good token from a clean source waits for few of them.
struct CheckQueue<Job: Sendable>: Sendable {
    /// What to do next.
    enum Turn: Sendable {
        case check(Job, from: IPAddress, isSuspect: Bool)
        case turnAway(Job)
    }

    /// The outcome of adding a token.
    enum Admission: Sendable {
        case waits
        case full(Job)
        /// It waits in the place of the newest token of the source that has the most.
        case displaces(Job)
    }

    private let limits: CheckLimits
    private var queues: [IPAddress: Deque<Job>] = [:]
    /// The sources whose tokens wait, in the order of their turns.
    private var turns: Deque<IPAddress> = []
    private(set) var count = 0
    private var scores = SourceScores()
    /// Failed checks that suspect sources may have now, and when that was counted; nil before the first time.
    private var budget: Double
    private var budgetAt: NIODeadline?

    init(limits: CheckLimits = CheckLimits()) {
        self.limits = limits
        budget = limits.failureBurst
    }

    /// Whether a token of this source would be turned away without a check.
    mutating func turnsAway(_ source: IPAddress, at now: NIODeadline) -> Bool { isSuspect(source, at: now) && !hasBudget(at: now) }

    mutating func append(_ job: Job, from source: IPAddress, at now: NIODeadline) -> Admission {
        if count < limits.waiting {
            put(job, from: source)
            return .waits
        }
        // A source that waits for nothing yet is let in, at the cost of the one that waits for the most.
        guard queues[source] == nil, let longest = queues.max(by: { $0.value.count < $1.value.count }), longest.value.count > 1,
            let displaced = queues[longest.key]?.popLast()
        else { return .full(job) }
        count -= 1
        put(job, from: source)
        return .displaces(displaced)
    }

    private mutating func put(_ job: Job, from source: IPAddress) {
        if queues[source] == nil { turns.append(source) }
        queues[source, default: []].append(job)
        count += 1
    }

    /// Takes the token whose turn it is; nil where none waits. Each `check` must be followed by a call of ``finished(_:wasSuspect:failed:at:)``.
    mutating func next(at now: NIODeadline) -> Turn? {
        guard let source = turns.popFirst(), let job = queues[source]?.popFirst() else { return nil }
        count -= 1
        if queues[source]?.isEmpty == true { queues[source] = nil } else { turns.append(source) }
        guard isSuspect(source, at: now) else { return .check(job, from: source, isSuspect: false) }
        guard hasBudget(at: now) else { return .turnAway(job) }
        budget -= 1
        return .check(job, from: source, isSuspect: true)
    }

    /// Takes note of the outcome of a check.
    mutating func finished(_ source: IPAddress, wasSuspect: Bool, failed: Bool, at now: NIODeadline) {
        scores.count(source, failed: failed, at: now)
        refill(at: now)
        // A suspect's check was paid in advance; a clean source's failure is paid now, although it is never turned away for it.
        switch (wasSuspect, failed) {
        case (true, false): budget += 1
        case (false, true): budget = max(budget - 1, -limits.failureBurst)
        case (true, true), (false, false): break
        }
    }

    private func isSuspect(_ source: IPAddress, at now: NIODeadline) -> Bool {
        scores.failures(of: source, at: now) >= limits.suspectFrom
    }

    private mutating func hasBudget(at now: NIODeadline) -> Bool {
        refill(at: now)
        return budget >= 1
    }

    private mutating func refill(at now: NIODeadline) {
        let seconds = budgetAt.map { Double((now - $0).nanoseconds) / 1e9 } ?? 0
        budget = min(budget + seconds * limits.failuresPerSecond, limits.failureBurst)
        budgetAt = now
    }
}
