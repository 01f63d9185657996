import Dispatch
import Foundation
import HTTPServer
import NIOCore
import Synchronization

/// Checks signatures on threads of its own, whose number is bounded. A ``CheckQueue`` decides the order.
///
/// Its state lives in a mutex, which is taken only for tokens that no loop's cache has.
final class SignatureChecks: Sendable {
    private struct Job: Sendable {
        let token: UncheckedToken
        let done: CheckedContinuation<IssuerVerdict, Never>
    }

    private struct State {
        var queue: CheckQueue<Job>
        /// Threads that check now.
        var running = 0
    }

    /// The tokens with good signatures, for all loops.
    let checked = CheckedTokens()
    private let state: Mutex<State>
    private let maximumThreads: Int
    private let threads = DispatchQueue(label: "firstcome.signature-checks", attributes: .concurrent)
    /// The number of signature checks made so far, passed or failed; tests read it.
    private let made = Atomic<Int>(0)

    /// A quarter of the cores: the rest is for the loops, the store and Redis.
    static let standardThreads = min(8, max(1, ProcessInfo.processInfo.activeProcessorCount / 4))

    init(maximumThreads: Int = SignatureChecks.standardThreads, limits: CheckLimits = CheckLimits()) {
        self.maximumThreads = maximumThreads
        state = Mutex(State(queue: CheckQueue(limits: limits)))
    }

    /// How many signatures were checked.
    var count: Int { made.load(ordering: .relaxed) }

    /// How many tokens wait for their check now.
    var waiting: Int { state.withLock { $0.queue.count } }

    /// Whether a token of this source would be turned away, so that no task needs to be made for it.
    func turnsAway(_ source: IPAddress) -> Bool {
        state.withLock { $0.queue.turnsAway(source, at: .now()) }
    }

    /// Has a token checked. The outcome is `busy` where it was turned away.
    func outcome(of token: UncheckedToken) async -> IssuerVerdict {
        await withCheckedContinuation { done in
            let job = Job(token: token, done: done)
            let (admission, needsThread) = state.withLock { state in
                let admission = state.queue.append(job, from: token.source, at: .now())
                let needsThread = state.running < maximumThreads
                if needsThread { state.running += 1 }
                return (admission, needsThread)
            }
            switch admission {
            case .waits: break
            case .full(let job), .displaces(let job): job.done.resume(returning: .refused(.busy))
            }
            if needsThread { threads.async { self.work() } }
        }
    }

    /// Checks until no token waits.
    private func work() {
        while let turn = nextTurn() {
            switch turn {
            case .turnAway(let job): job.done.resume(returning: .refused(.busy))
            case .check(let job, let source, let isSuspect):
                let verdict = check(job.token)
                // Its signature is the issuer's, so a refusal for its claims does not count against the sender.
                state.withLock { $0.queue.finished(source, wasSuspect: isSuspect, failed: verdict == .refused(.signature), at: .now()) }
                job.done.resume(returning: verdict)
            }
        }
    }

    private func nextTurn() -> CheckQueue<Job>.Turn? {
        state.withLock { state in
            let turn = state.queue.next(at: .now())
            if turn == nil { state.running -= 1 }
            return turn
        }
    }

    private func check(_ token: UncheckedToken) -> IssuerVerdict {
        // The same token may have been checked while this one waited: clients open several connections at once.
        if let known = checked.find(token.digest), known.key === token.key { return known.verdict }
        made.wrappingAdd(1, ordering: .relaxed)
        let verdict = token.verdict()
        if verdict != .refused(.signature) { checked.insert(CheckedTokens.Entry(verdict: verdict, key: token.key), for: token.digest) }
        return verdict
    }
}
