import NIOCore
import Testing

@testable import Redis

/// What follows from each answer of a node, without nodes.
@Suite struct RoutedCommandTests {
    static let here = RedisNodeAddress(host: "here", port: 1)
    static let once = RedisCommand("INCR", "k")
    static let again = RedisCommand("GET", "k", isRepeatable: true)

    private func sent(_ command: RedisCommand, to target: RedisRoutedCommand.Target? = nil) -> RedisRoutedCommand {
        var routed = RedisRoutedCommand(command, to: target, deadline: .now(), waiter: .nobody)
        routed.sent(to: Self.here)
        return routed
    }

    private static func error(_ message: String) -> Result<RedisValue, RedisError> { .success(.error(RedisServerError(message: message))) }

    private static func lost(_ code: RedisError.Code) -> Result<RedisValue, RedisError> { .failure(RedisError(code, "")) }

    private static func redirection(_ message: String) -> RedisRedirection? {
        RedisRedirection(RedisServerError(message: message), from: here)
    }

    static let answers: [(Result<RedisValue, RedisError>, RedisRoutedCommand.Step?)] = [
        (.success(.integer(1)), .deliver), (error("WRONGTYPE no"), .deliver), (error("OOM no"), .deliver),
        (error("CROSSSLOT no"), .deliver),
        (error("MOVED 7 a:1"), redirection("MOVED 7 a:1").map { .moved($0) }),
        (error("ASK 7 a:1"), redirection("ASK 7 a:1").map { .ask($0) }),
        (error("TRYAGAIN"), .later(.milliseconds(20))), (error("CLUSTERDOWN Hash slot not served"), .later(.milliseconds(50))),
        (error("LOADING"), .later(.milliseconds(50))), (error("MASTERDOWN"), .later(.milliseconds(50))),
        (error("READONLY You can't write"), .later(.milliseconds(50))),
        (lost(.notConnected), .again), (lost(.closed), .again), (lost(.timedOut), .deliver), (lost(.overloaded), .deliver),
    ]

    @Test("each answer is the caller's, or leads on", arguments: answers, [once, again])
    func steps(answer: (Result<RedisValue, RedisError>, RedisRoutedCommand.Step?), command: RedisCommand) throws {
        var routed = sent(command)
        #expect(routed.step(after: answer.0) == (try #require(answer.1)))
        #expect(routed.node == nil)
    }

    @Test("a lost connection leads on for a repeatable command, and is the outcome of another one")
    func lostConnection() {
        var (once, again) = (sent(Self.once), sent(Self.again))
        #expect(once.step(after: Self.lost(.unknownOutcome)) == .deliver)
        #expect(again.step(after: Self.lost(.unknownOutcome)) == .again)
    }

    @Test(
        "a command for one node gets that node's answer, whatever it is", arguments: ["MOVED 7 a:1", "CLUSTERDOWN", "READONLY", "LOADING"])
    func pinned(message: String) {
        var routed = sent(Self.again, to: .node(Self.here))
        #expect(routed.step(after: Self.error(message)) == .deliver)
    }

    @Test("the sixth redirection ends the command, which has not run")
    func redirections() {
        var routed = sent(Self.once)
        for number in 1...5 {
            guard case .moved = routed.step(after: Self.error("MOVED 7 a:\(number)")) else { return #expect(Bool(false), "\(number)") }
            routed.sent(to: Self.here)
        }
        guard case .fail(.notConnected, _) = routed.step(after: Self.error("ASK 7 a:6")) else { return #expect(Bool(false)) }
    }

    @Test("a redirection after a lost connection ends in an unknown outcome, never in one that says it did not run")
    func redirectionsAfterLoss() {
        var routed = sent(Self.again)
        _ = routed.step(after: Self.lost(.unknownOutcome))
        for _ in 1...6 {
            routed.sent(to: Self.here)
            if case .fail(let code, _) = routed.step(after: Self.error("MOVED 7 a:1")) {
                #expect(code == .unknownOutcome)
                return
            }
        }
        Issue.record("redirected for ever")
    }

    @Test("at the deadline, a command that may have run has timed out, and one that certainly has not was not connected")
    func deadline() {
        var (waiting, lost, refused) = (sent(Self.again), sent(Self.again), sent(Self.again))
        #expect(waiting.errorAtDeadline.code == .timedOut)
        _ = lost.step(after: Self.lost(.unknownOutcome))
        _ = waiting.step(after: Self.error("TRYAGAIN"))
        #expect(waiting.errorAtDeadline.code == .notConnected)
        #expect(lost.errorAtDeadline.code == .timedOut)
        _ = refused.step(after: Self.error("CLUSTERDOWN no"))
        #expect(refused.errorAtDeadline.code == .notConnected)
        #expect((refused.errorAtDeadline.cause as? RedisError)?.code == .server(.clusterDown))
        #expect(RedisRoutedCommand(Self.once, deadline: .now(), waiter: .nobody).errorAtDeadline.code == .notConnected)
    }
}
