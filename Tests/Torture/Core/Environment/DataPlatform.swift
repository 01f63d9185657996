import Crypto
import JSON
import NIOCore
import Synchronization
import TestSupport

/// A data platform that records each event, and fails in the ways that a round sets.
final class DataPlatform: Sendable {
    enum Behavior: Sendable {
        /// Accepts events, and fails on a few.
        case usual
        /// Answers 500 to all.
        case failing
        /// Accepts the event and answers late.
        case slow
        /// Accepts the event and answers after two seconds, each time.
        case steady
        /// Accepts the event, but answers 500 or nothing.
        case forgetful
    }

    /// One event as it first arrived.
    struct Received: Sendable {
        let order: Int64
        let type: String
        let body: String
        var accepted: Bool
        var times: Int
    }

    private let state: State
    private let server: DataPlatformServer
    static let secret = "torture"

    init(findings: Findings) async throws {
        let state = State(findings: findings)
        self.state = state
        server = try await DataPlatformServer { post in state.take(post) }
    }

    var url: String { server.url }
    /// By event id.
    var received: [Int64: Received] { state.inner.withLock { $0.events } }

    /// How often each event was posted during the last phase of ``Behavior/steady``.
    var steadyPosts: [Int64: Int] { state.inner.withLock { $0.steadyPosts } }

    func set(_ behavior: Behavior) {
        state.inner.withLock { inner in
            if case .steady = behavior { inner.steadyPosts = [:] }
            inner.behavior = behavior
        }
    }

    func close() async { await server.close() }

    private final class State: Sendable {
        struct Inner: Sendable {
            var behavior = Behavior.usual
            var steadyPosts: [Int64: Int] = [:]
            var events: [Int64: Received] = [:]
            /// Events by order, in the order of their first arrival.
            var orders: [Int64: [Int64]] = [:]
        }

        let inner = Mutex(Inner())
        let findings: Findings

        init(findings: Findings) { self.findings = findings }

        func take(_ post: DataPlatformServer.Post) -> DataPlatformServer.Reaction {
            let code = HMAC<SHA256>.authenticationCode(
                for: Array(post.body.utf8), using: SymmetricKey(data: Array(DataPlatform.secret.utf8)))
            let expected = "sha256=" + code.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
            guard post.signature == expected, let json = try? JSONParser.parse(ByteBuffer(string: post.body)),
                let id = json["eventId"]?.int, let order = json["order"]?["orderId"]?.int, let type = json["type"]?.string,
                post.idempotencyKey == String(id)
            else {
                findings.add(.wrong, "an event came unsigned, without its key or unreadable: \(post.body)")
                return .status(400)
            }
            let behavior = inner.withLock { $0.behavior }
            let isTaken =
                switch behavior {
                case .usual: Int.random(in: 0..<100) < 97
                case .failing: false
                case .slow, .steady: true
                // The event is recorded, but the answer says that it is not.
                case .forgetful: Bool.random()
                }
            note(id, order, type, post.body, accepted: isTaken)
            if case .steady = behavior {
                inner.withLock { $0.steadyPosts[id, default: 0] += 1 }
                return .hang(.seconds(2))
            }
            if case .slow = behavior { return .hang(.milliseconds(.random(in: 200...1_500))) }
            return .status(isTaken ? 200 : 500)
        }

        private func note(_ id: Int64, _ order: Int64, _ type: String, _ body: String, accepted: Bool) {
            inner.withLock { inner in
                if var known = inner.events[id] {
                    if known.body != body { findings.add(.doubled, "event \(id) came as \(known.body) and as \(body)") }
                    known.times += 1
                    known.accepted = known.accepted || accepted
                    inner.events[id] = known
                    return
                }
                let earlier = inner.orders[order] ?? []
                for other in earlier where other > id || inner.events[other]?.accepted != true {
                    findings.add(.wrong, "event \(id) of order \(order) came before event \(other) was taken")
                }
                if earlier.isEmpty, type == "ORDER_REFUNDED" {
                    findings.add(.wrong, "event \(id): the refund of order \(order) came before its payment")
                }
                inner.orders[order] = earlier + [id]
                inner.events[id] = Received(order: order, type: type, body: body, accepted: accepted, times: 1)
            }
        }
    }
}
