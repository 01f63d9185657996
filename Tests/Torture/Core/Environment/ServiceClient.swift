import Foundation
import JSON
import NIOCore
import Synchronization
import TestSupport

/// Sends the requests of shoppers, counts the answers, and retries as a patient client does.
struct ServiceClient: Sendable {
    let counts: RequestCounter
    let findings: Findings
    let balancer: Balancer
    /// Whether 503 may mean that the request has taken effect, and one that was not answered may take effect later: a store on a server may
    /// go away between a commit and its answer, and customers do not wait for a service that is stopped.
    let isUnavailableUnknown: Bool
    let clocks = Clocks()

    /// How long a request is retried, outages included.
    static let patience = hangLimit

    enum Reply: Sendable {
        case answer(TestSupport.HTTPAnswer)
        /// The connection broke before the answer, so the outcome is unknown.
        case lost
    }

    struct Request: Sendable {
        let caller: Caller
        let path: String
        var body: String?
        var key: String?
        var method = "POST"
    }

    /// Sends a request once.
    func ask(_ request: Request) async -> Reply { await ask(request, besides: nil).reply }

    /// - Parameter last: the service that failed to answer it just now.
    private func ask(_ request: Request, besides last: Int?) async -> (reply: Reply, service: Int) {
        var (caller, service) = balancer.place(request.caller, besides: last)
        caller.timeLimit = balancer.timeLimit
        do {
            let answer = try await caller.call(
                request.method, request.path, body: request.body, headers: request.key.map { ["Idempotency-Key": $0] } ?? [:])
            counts.count { $0.answers += 1 }
            switch answer.status {
            case 503, 429:
                counts.count { $0.unavailable += 1 }
                if answer[header: "retry-after"] == nil { findings.add(.wrong, "\(answer.status) without Retry-After: \(answer.text)") }
            case 500...:
                findings.add(.wrong, "\(request.method) \(request.path): \(answer.status) \(answer.text)")
            default: break
            }
            return (.answer(answer), service)
        } catch {
            balancer.noteFailure(of: service)
            counts.count { $0.lostReplies += 1 }
            // A short pause before the client connects again.
            try? await Task.sleep(for: .milliseconds(15))
            return (.lost, service)
        }
    }

    /// Retries until there is a final answer; nil, with a finding, where none comes in time.
    func askUntilFinal(_ request: Request) async -> TestSupport.HTTPAnswer? { await outcome(of: request)?.answer }

    /// A final answer.
    struct Outcome: Sendable {
        let answer: TestSupport.HTTPAnswer
        /// Whether the request may take effect, or have taken it, although the answer does not say so: a refusal is not kept under its key,
        /// so an earlier attempt that a stopped service still has may succeed where a later one was refused.
        let isUncertain: Bool
    }

    /// Sends a request once; nil where no answer comes.
    func outcomeOnce(of request: Request) async -> Outcome? {
        guard case .answer(let answer) = await ask(request) else { return nil }
        return Outcome(answer: answer, isUncertain: isUnavailableUnknown && answer.status == 503)
    }

    /// Retries until there is a final answer; nil, with a finding, where none comes in time.
    func outcome(of request: Request) async -> Outcome? {
        let deadline = ContinuousClock.now + Self.patience
        var last: Int?
        var mayRunLater = false
        while ContinuousClock.now < deadline, !Task.isCancelled {
            let (reply, service) = await ask(request, besides: last)
            last = service
            switch reply {
            case .answer(let answer):
                if ![503, 429].contains(answer.status), answer.status < 500, answer.code != "IDEMPOTENCY_KEY_IN_USE" {
                    return Outcome(answer: answer, isUncertain: mayRunLater && answer.status >= 400)
                }
                if isUnavailableUnknown, answer.status == 503 { mayRunLater = true }
            case .lost: if isUnavailableUnknown { mayRunLater = true }
            }
            try? await Task.sleep(for: .milliseconds(.random(in: 10...40)))
        }
        if Task.isCancelled { return nil }
        findings.add(.wrong, "\(request.method) \(request.path): no final answer within \(Self.patience)")
        return nil
    }

    /// Whether a success is the stored answer of an earlier one.
    static func isReplay(_ answer: TestSupport.HTTPAnswer) -> Bool { answer[header: "idempotent-replayed"] == "true" }

    /// Compares a success under a key with the first success under the same key: they must be byte-identical.
    func compare(_ answer: TestSupport.HTTPAnswer, key: String?, of customer: Customer) {
        guard let key, (200..<300).contains(answer.status) else { return }
        let text = answer.text
        let first = customer.note { record in
            defer { if record.answersByKey[key] == nil { record.answersByKey[key] = text } }
            return record.answersByKey[key] ?? text
        }
        if first != text { findings.add(.doubled, "key \(key) of user \(customer.id) was answered \(first) and then \(text)") }
    }

    static func newKey() -> String { UUID().uuidString }
}

/// Whether a service has a clock that is further off than services may be: then it may call an order expired that another still lets pay.
final class Clocks: Sendable {
    private let state = Atomic(false)

    var differ: Bool {
        get { state.load(ordering: .relaxed) }
        set { state.store(newValue, ordering: .relaxed) }
    }
}
