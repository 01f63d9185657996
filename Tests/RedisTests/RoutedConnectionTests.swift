import NIOCore
import Testing

@testable import Redis

/// What differs in a connection whose commands come from a router, without sockets.
@Suite struct RoutedConnectionTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func machine(
        _ role: RedisConfiguration.Role, admission answer: RedisValue? = nil
    ) -> RedisConnectionStateMachine<Int> {
        var configuration = RedisConfiguration(endpoint: .tcp(host: "h"))
        configuration.role = role
        configuration.requiresPrimary = false
        let script = RedisScript(name: "admit", source: "return 1", keyCount: 1)
        if answer != nil { configuration.admission = RedisAdmission(script, keys: ["k"], arguments: [], renewing: []) { _ in nil } }
        var machine = RedisConnectionStateMachine<Int>(configuration: configuration)
        #expect(machine.connect(now: start) == true)
        for command in machine.connected() ?? [] { _ = machine.received(command.script == nil ? .simple("OK") : answer ?? .null) }
        return machine
    }

    static let roles: [(RedisConfiguration.Role, [RedisError.Code])] = [
        (.alone, []), (.primary, [.unknownOutcome]), (.clusterNode, [.unknownOutcome]),
    ]

    @Test("a repeatable command goes back to the router when its connection breaks, since its slot may have moved", arguments: roles)
    func repeatable(role: RedisConfiguration.Role, failures: [RedisError.Code]) {
        var machine = machine(role)
        _ = machine.enqueue(RedisCommand("GET", "k", isRepeatable: true), 1, now: start)
        machine.flushed(now: start)
        #expect(machine.disconnected(RedisError(.notConnected, "gone"), random: 0).failures.map(\.error.code) == failures)
    }

    @Test("a node of a cluster may leave the admission to another one, and a single server may not")
    func admission() {
        let moved = RedisValue.error(RedisServerError(message: "MOVED 1 h:1"))
        let elsewhere = machine(.clusterNode, admission: moved)
        #expect(elsewhere.isReady && !elsewhere.isAdmitted)
        let here = machine(.clusterNode, admission: .integer(1))
        #expect(here.isReady && here.isAdmitted)
        #expect(!machine(.alone, admission: moved).isReady)
        #expect(!machine(.primary, admission: moved).isReady)
    }

    @Test("a script that is sent with its source is not sent again where the server says that it does not know it")
    func withSource() {
        var machine = machine(.clusterNode)
        let script = RedisScript(name: "s", source: "return 1", keyCount: 1)
        _ = machine.enqueue(RedisCommand(script, keys: ["k"]), 1, withSource: true, now: start)
        machine.flushed(now: start)
        guard case .deliver(1, .error) = machine.received(.error(RedisServerError(message: "NOSCRIPT"))) else {
            Issue.record("sent again")
            return
        }
    }
}
