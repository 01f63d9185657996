import NIOCore
import Testing

@testable import Redis

/// The machine without sockets and clocks: what happens, in order, and what it answers. Callers are named by numbers.
@Suite struct StateMachineTests {
    typealias Machine = RedisConnectionStateMachine<Int>

    static let script = RedisScript(name: "claim", source: "return 1", keyCount: 1, isRepeatable: true)
    static let once = RedisScript(name: "count", source: "return 2", keyCount: 1)
    let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func configuration(_ change: (inout RedisConfiguration) -> Void = { _ in }) -> RedisConfiguration {
        var configuration = RedisConfiguration(endpoint: .unix(path: "/s"))
        configuration.commandDeadline = .seconds(2)
        configuration.stallTimeout = .seconds(10)
        configuration.maximumPendingReplies = 4
        change(&configuration)
        return configuration
    }

    private func readyMachine(_ change: (inout RedisConfiguration) -> Void = { _ in }) -> Machine {
        var machine = Machine(configuration: configuration(change))
        makeReady(&machine)
        return machine
    }

    @discardableResult
    private func makeReady(_ machine: inout Machine) -> [Int?] {
        #expect(machine.connect(now: start) == true)
        let handshake = machine.connected() ?? []
        #expect(machine.phase == .handshaking)
        var waiting: [Int?] = []
        for command in handshake {
            let loaded = command.words[1...].starts(with: ["LOAD"]) ? command.words[2] : nil
            let reply: RedisValue =
                if command.words == ["ROLE"] {
                    Self.role("master")
                } else if case .string(let source)? = loaded {
                    .bulk(ByteBuffer(string: SHA1.hexadecimal(of: source.utf8)))
                } else {
                    .simple("OK")
                }
            if case .ready(let entries) = machine.received(reply) { waiting = entries.map(\.waiter) }
        }
        #expect(machine.isReady)
        return waiting
    }

    private static func role(_ role: String) -> RedisValue { .array([.bulk(ByteBuffer(string: role)), .integer(7), .array([])]) }

    private func send(_ machine: inout Machine, _ callers: Int..., command: RedisCommand = RedisCommand("PING"), at now: NIODeadline? = nil)
    {
        for caller in callers {
            guard case .write = machine.enqueue(command, caller, now: now ?? start) else {
                Issue.record("not written: \(caller)")
                continue
            }
        }
    }

    private func summary(_ failures: [Machine.Failure]) -> [String] { failures.map { "\($0.waiter) \($0.error.code)" } }

    // MARK: Round trips

    @Test("the time of the last reply's command is known once, and that of the handshake's commands not at all")
    func sendTime() {
        var machine = readyMachine()
        #expect(machine.takeSendTimeOfLastReply() == nil)
        send(&machine, 1, at: start)
        send(&machine, 2, at: start + .milliseconds(5))
        machine.flushed(now: start + .milliseconds(5))
        _ = machine.received(.simple("PONG"))
        #expect(machine.takeSendTimeOfLastReply() == start)
        #expect(machine.takeSendTimeOfLastReply() == nil)
        _ = machine.received(.simple("PONG"))
        #expect(machine.takeSendTimeOfLastReply() == start + .milliseconds(5))
    }

    // MARK: Handshake

    @Test("the handshake authenticates, selects, names itself, asks for the role and loads every script, in one go")
    func handshake() throws {
        let endpoint = try RedisEndpoint(url: "redis://ann:secret@h/3")
        var machine = Machine(configuration: RedisConfiguration(endpoint: endpoint, scripts: [Self.script]))
        #expect(machine.connect(now: start) == true)
        var bytes = ByteBuffer()
        for command in machine.connected() ?? [] { command.encode(into: &bytes) }
        #expect(
            String(buffer: bytes) == "*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$6\r\nsecret\r\n" + "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
                + "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$9\r\nfirstcome\r\n" + "*1\r\n$4\r\nROLE\r\n"
                + "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$8\r\nreturn 1\r\n"
                + "*1\r\n$4\r\nPING\r\n")
    }

    static let refusedSteps: [(String, Int, String, RedisError.Code?)] = [
        ("wrong password", 0, "WRONGPASS invalid username-password pair", .server(.wrongPassword)),
        ("no such database", 1, "ERR DB index is out of range", .server(.other("ERR"))),
        ("a name that may not be set", 2, "NOPERM this user has no permissions", nil),
        ("no password given", 2, "NOAUTH Authentication required.", .server(.authenticationRequired)),
        ("a user who may not ask for the role", 3, "NOPERM this user has no permissions", .notPrimary),
        ("a server without roles", 3, "ERR unknown command 'ROLE'", .notPrimary),
        ("a script that does not compile", 4, "ERR Error compiling script", .misconfigured),
        ("a server that still loads", 5, "LOADING Redis is loading the dataset in memory", .server(.loading)),
        ("a server that may not say its role yet", 3, "LOADING Redis is loading the dataset in memory", .server(.loading)),
        ("a replica without its primary", 5, "MASTERDOWN Link with MASTER is down", .server(.primaryDown)),
    ]

    @Test("each reply of the handshake is judged", arguments: refusedSteps)
    func refusedStep(what: String, step: Int, message: String, code: RedisError.Code?) throws {
        let endpoint = try RedisEndpoint(url: "redis://:secret@h/3")
        var machine = Machine(configuration: RedisConfiguration(endpoint: endpoint, scripts: [Self.script]))
        _ = machine.connect(now: start)
        _ = machine.connected()
        for index in 0..<step {
            let reply: RedisValue = index == 3 ? Self.role("master") : index == 4 ? .simple(Self.script.sha1) : .simple("OK")
            guard case .ignore = machine.received(reply) else {
                Issue.record("step \(index) is refused")
                return
            }
        }
        switch (machine.received(.error(RedisServerError(message: message))), code) {
        case (.disconnect(let error), let code?):
            #expect(error.code == code)
            #expect(!error.message.contains("secret"))
        case (.ignore, nil): break
        case (let action, _): Issue.record("\(what): \(action)")
        }
    }

    @Test("a script that the server names differently stops the handshake")
    func differentDigest() {
        var machine = Machine(configuration: RedisConfiguration(endpoint: .unix(path: "/s"), scripts: [Self.script]))
        _ = machine.connect(now: start)
        _ = machine.connected()
        _ = machine.received(.simple("OK"))
        _ = machine.received(Self.role("master"))
        guard case .disconnect(let error) = machine.received(.simple("da39a3ee5e6b4b0d3255bfef95601890afd80709")) else {
            Issue.record("accepted")
            return
        }
        #expect(error.code == .protocolViolation)
    }

    @Test(
        "a server that is no primary stops the handshake, and the commands that wait hear why",
        arguments: [
            (role("slave"), "it is a replica"), (role("sentinel"), "its role is sentinel"), (.simple("OK"), "its role is unknown"),
            (.array([]), "its role is unknown"), (.null, "its role is unknown"),
        ])
    func noPrimary(reply: RedisValue, words: String) {
        var machine = Machine(configuration: configuration())
        _ = machine.enqueue(RedisCommand("PING"), 1, now: start)
        _ = machine.connect(now: start)
        _ = machine.connected()
        _ = machine.received(.simple("OK"))
        guard case .disconnect(let error) = machine.received(reply) else {
            Issue.record("accepted")
            return
        }
        #expect(error.code == .notPrimary && error.message.contains(words))
        let outcome = machine.disconnected(error, random: 0)
        #expect(summary(outcome.failures) == ["1 notConnected"])
        #expect((outcome.failures.first?.error.cause as? RedisError)?.code == .notPrimary)
        #expect(outcome.reconnectAfter != nil)
    }

    @Test("where replicas are welcome nobody asks for the role")
    func anyRole() {
        var machine = Machine(configuration: configuration { $0.requiresPrimary = false })
        _ = machine.connect(now: start)
        #expect(machine.connected()?.contains { $0.words == ["ROLE"] } == false)
    }

    static let readOnly = "READONLY You can't write against a read only replica."

    @Test(
        "a server that has become a replica is left at its first refusal to write, and what may be repeated waits for the next one",
        arguments: [readOnly, "ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -\(readOnly)"])
    func becameReplica(message: String) {
        var machine = readyMachine()
        let refusal = RedisValue.error(RedisServerError(message: message))
        send(&machine, 1)
        send(&machine, 2, command: RedisCommand(Self.script, keys: ["k"]))
        send(&machine, 3, command: RedisCommand(Self.once, keys: ["k"]))
        machine.flushed(now: start)
        guard case .deliverAndDisconnect(1, refusal, let reason) = machine.received(refusal) else {
            Issue.record("not left")
            return
        }
        #expect(reason.code == .notPrimary)
        #expect(summary(machine.disconnected(reason, random: 0).failures) == ["3 unknownOutcome"])
        #expect(makeReady(&machine) == [2])

        var careless = readyMachine { $0.requiresPrimary = false }
        send(&careless, 1)
        careless.flushed(now: start)
        guard case .deliver(1, refusal) = careless.received(refusal) else {
            Issue.record("left, although replicas are welcome")
            return
        }
    }

    @Test("a refusal to write that nobody waits for shows a replica too; a closing connection only waits for its replies")
    func becameReplicaUnheard() {
        let refusal = RedisValue.error(RedisServerError(message: Self.readOnly))
        var machine = readyMachine()
        let id = machine.nextID
        send(&machine, 1)
        machine.flushed(now: start)
        _ = machine.cancel(id)
        guard case .disconnect(let reason) = machine.received(refusal), reason.code == .notPrimary else {
            Issue.record("not left")
            return
        }
        var closing = readyMachine()
        send(&closing, 1, 2)
        closing.flushed(now: start)
        _ = closing.close(now: start)
        guard case .deliver(1, refusal) = closing.received(refusal), case .deliver(2, .integer(5)) = closing.received(.integer(5)) else {
            Issue.record("a reply was lost")
            return
        }
    }

    // MARK: Order

    @Test("replies answer commands in order")
    func order() {
        var machine = readyMachine()
        send(&machine, 1, 2, 3)
        machine.flushed(now: start)
        for caller in 1...3 {
            guard case .deliver(caller, .integer(Int64(caller))) = machine.received(.integer(Int64(caller))) else {
                Issue.record("caller \(caller) got another's reply")
                return
            }
        }
        #expect(machine.pending.isEmpty)
    }

    @Test("a reply nobody asked for is a protocol violation")
    func unasked() {
        var machine = readyMachine()
        guard case .disconnect(let error) = machine.received(.integer(1)) else {
            Issue.record("accepted")
            return
        }
        #expect(error.code == .protocolViolation)
        send(&machine, 1)
        guard case .disconnect = machine.received(.integer(1)) else {
            Issue.record("accepted before the command left")
            return
        }
    }

    @Test("a cancelled caller keeps its place and its reply is dropped")
    func cancellation() {
        var machine = readyMachine()
        let first = machine.nextID
        send(&machine, 1, 2)
        machine.flushed(now: start)
        #expect(machine.cancel(first) == 1)
        #expect(machine.cancel(first) == nil, "only once")
        #expect(machine.cancel(99) == nil)
        guard case .ignore = machine.received(.integer(1)), case .deliver(2, .integer(2)) = machine.received(.integer(2)) else {
            Issue.record("the order is lost")
            return
        }
        #expect(machine.cancel(first + 1) == nil, "answered already")
    }

    @Test("a refused command's number never finds another command")
    func refusedNumber() {
        var machine = readyMachine()
        send(&machine, 1, 2, 3, 4)
        let refused = machine.nextID
        _ = machine.enqueue(RedisCommand("PING"), 5, now: start)
        machine.flushed(now: start)
        _ = machine.received(.null)
        send(&machine, 6)
        #expect(machine.cancel(refused) == nil)
    }

    // MARK: Bounds and deadlines

    @Test("the command past the bound is refused at once, and accepted again when a reply came")
    func bound() {
        var machine = readyMachine()
        send(&machine, 1, 2, 3, 4)
        guard case .fail(let error) = machine.enqueue(RedisCommand("PING"), 5, now: start) else {
            Issue.record("taken")
            return
        }
        #expect(error.code == .overloaded)
        #expect(machine.refusal(ofCommands: 1)?.code == .overloaded)
        machine.flushed(now: start)
        _ = machine.received(.null)
        #expect(machine.refusal(ofCommands: 1) == nil)
        #expect(machine.refusal(ofCommands: 2)?.code == .overloaded)
        send(&machine, 5)
    }

    @Test("a caller is let go at its deadline, and its late reply reaches nobody else")
    func deadline() {
        var machine = readyMachine()
        send(&machine, 1)
        send(&machine, 2, at: start + .seconds(1))
        machine.flushed(now: start)
        #expect(machine.nextTick == start + .seconds(2))
        #expect(summary(machine.tick(now: start + .milliseconds(1999)).expired) == [])
        let action = machine.tick(now: start + .seconds(2))
        #expect(summary(action.expired) == ["1 timedOut"])
        #expect(action.disconnect == nil)
        #expect(action.nextTick == start + .seconds(3))
        guard case .ignore = machine.received(.integer(1)), case .deliver(2, .integer(2)) = machine.received(.integer(2)) else {
            Issue.record("the late reply went to the wrong caller")
            return
        }
        #expect(machine.nextTick == nil)
    }

    @Test("a server that owes replies and stays silent is given up; one that sends anything is not")
    func stall() {
        var machine = readyMachine()
        send(&machine, 1, 2)
        machine.flushed(now: start)
        #expect(machine.tick(now: start + .seconds(9)).disconnect == nil)
        machine.progressed(now: start + .seconds(9))
        #expect(machine.tick(now: start + .seconds(18)).disconnect == nil)
        #expect(machine.tick(now: start + .seconds(19)).disconnect?.code == .timedOut)
        var idle = readyMachine()
        #expect(idle.tick(now: start + .hours(1)).disconnect == nil, "silence without a question is no stall")
    }

    @Test("an attempt to connect ends at its deadline")
    func connectDeadline() {
        var machine = Machine(configuration: configuration { $0.connectTimeout = .seconds(5) })
        _ = machine.connect(now: start)
        #expect(machine.nextTick == start + .seconds(5))
        _ = machine.connected()
        #expect(machine.tick(now: start + .seconds(5)).disconnect?.code == .timedOut)
    }

    // MARK: Connections that come and go

    @Test("commands wait for the very first attempt, and fail when it does")
    func firstAttempt() {
        var machine = Machine(configuration: configuration())
        guard case .hold = machine.enqueue(RedisCommand("PING"), 1, now: start) else {
            Issue.record("not held")
            return
        }
        #expect(makeReady(&machine) == [1])

        var unlucky = Machine(configuration: configuration())
        _ = unlucky.enqueue(RedisCommand("PING"), 1, now: start)
        _ = unlucky.connect(now: start)
        let outcome = unlucky.disconnected(RedisError(.notConnected, "refused"), random: 0)
        #expect(summary(outcome.failures) == ["1 notConnected"])
        #expect(unlucky.refusal(ofCommands: 1)?.code == .notConnected)
        _ = unlucky.connect(now: start)
        #expect(unlucky.refusal(ofCommands: 1)?.code == .notConnected, "later attempts are not waited for")
    }

    @Test("a command that waits for the first attempt was never sent: at its deadline its outcome is known")
    func firstAttemptDeadline() {
        var machine = Machine(configuration: configuration())
        _ = machine.enqueue(RedisCommand("PING"), 1, now: start)
        _ = machine.connect(now: start)
        #expect(summary(machine.tick(now: start + .seconds(2)).expired) == ["1 notConnected"])
        #expect(makeReadyAfterConnect(&machine) == [])
    }

    private func makeReadyAfterConnect(_ machine: inout Machine) -> [Int?] {
        var waiting: [Int?] = [nil]
        for command in machine.connected() ?? [] {
            if case .ready(let entries) = machine.received(command.words == ["ROLE"] ? Self.role("master") : .simple("OK")) {
                waiting = entries.map(\.waiter)
            }
        }
        return waiting
    }

    @Test("a break leaves what was sent unknown, what was not sent not connected, and repeats only what may be repeated")
    func breakdown() {
        var machine = readyMachine { $0.maximumPendingReplies = 10 }
        send(&machine, 1)
        send(&machine, 2, command: RedisCommand(Self.script, keys: ["k"]))
        send(&machine, 3, command: RedisCommand(Self.once, keys: ["k"]))
        let cancelled = machine.nextID
        send(&machine, 4, command: RedisCommand(Self.script, keys: ["k"]))
        machine.flushed(now: start)
        send(&machine, 5)
        send(&machine, 6, command: RedisCommand(Self.script, keys: ["k"]))
        _ = machine.cancel(cancelled)
        let outcome = machine.disconnected(RedisError(.notConnected, "gone"), random: 0)
        #expect(summary(outcome.failures) == ["1 unknownOutcome", "3 unknownOutcome", "5 notConnected", "6 notConnected"])
        #expect(outcome.reconnectAfter != nil)
        #expect(makeReady(&machine) == [2])
        machine.flushed(now: start)
        guard case .deliver(2, .integer(7)) = machine.received(.integer(7)) else {
            Issue.record("the repeated command got no reply")
            return
        }
    }

    @Test("what waits to be repeated is let go at its deadline, its outcome unknown")
    func repeatDeadline() {
        var machine = readyMachine()
        send(&machine, 1, command: RedisCommand(Self.script, keys: ["k"]))
        machine.flushed(now: start)
        _ = machine.disconnected(RedisError(.notConnected, "gone"), random: 0)
        #expect(machine.nextTick == start + .seconds(2))
        #expect(summary(machine.tick(now: start + .seconds(2)).expired) == ["1 timedOut"])
        #expect(makeReady(&machine) == [])
    }

    @Test("the wait before reconnecting doubles up to its bound, half of it random")
    func backoff() {
        var machine = Machine(
            configuration: configuration {
                $0.minimumBackoff = .milliseconds(20)
                $0.maximumBackoff = .milliseconds(100)
            })
        let waits = [0.0, 1, 0, 1, 0.5, 1].map { random in
            _ = machine.connect(now: start)
            return machine.disconnected(RedisError(.notConnected, "refused"), random: random).reconnectAfter
        }
        #expect(
            waits == [.milliseconds(10), .milliseconds(40), .milliseconds(40), .milliseconds(100), .milliseconds(75), .milliseconds(100)])
        makeReady(&machine)
        #expect(machine.disconnected(RedisError(.notConnected, "gone"), random: 1).reconnectAfter == .milliseconds(20), "success resets it")
    }

    // MARK: Forgotten scripts

    @Test("a forgotten script is sent once more with its source, behind what was sent meanwhile")
    func noScript() {
        var machine = readyMachine()
        let forgotten = RedisValue.error(RedisServerError(message: "NOSCRIPT No matching script."))
        send(&machine, 1, command: RedisCommand(Self.once, keys: ["k"]))
        send(&machine, 2)
        machine.flushed(now: start)
        guard case .writeWithSource(let command) = machine.received(forgotten) else {
            Issue.record("not sent again")
            return
        }
        #expect(command.script == Self.once)
        machine.flushed(now: start)
        guard case .deliver(2, .integer(2)) = machine.received(.integer(2)), case .deliver(1, forgotten) = machine.received(forgotten)
        else {
            Issue.record("a second refusal belongs to the caller")
            return
        }
    }

    @Test("a forgotten script whose caller is gone is not sent again")
    func noScriptWithoutCaller() {
        var machine = readyMachine()
        let id = machine.nextID
        send(&machine, 1, command: RedisCommand(Self.once, keys: ["k"]))
        machine.flushed(now: start)
        _ = machine.cancel(id)
        guard case .ignore = machine.received(.error(RedisServerError(message: "NOSCRIPT x"))) else {
            Issue.record("sent again")
            return
        }
    }

    private static let forgotten = RedisValue.error(RedisServerError(message: "NOSCRIPT No matching script."))

    /// Callers 1, 2 and 3 call a script; the server has forgotten it when the first two arrive, so that these are behind the third.
    private func reordered() -> (machine: Machine, ids: [UInt64]) {
        var machine = readyMachine { $0.maximumPendingReplies = 100 }
        var ids: [UInt64] = []
        for caller in 1...3 {
            ids.append(machine.nextID)
            send(&machine, caller, command: RedisCommand(Self.script, keys: ["k"]), at: start + .milliseconds(Int64(caller)))
        }
        machine.flushed(now: start + .milliseconds(3))
        for _ in 1...2 {
            guard case .writeWithSource = machine.received(Self.forgotten) else { Issue.record("not sent again"); break }
        }
        machine.flushed(now: start + .milliseconds(4))
        return (machine, ids)
    }

    @Test("a caller whose script is sent again behind others can be cancelled, and its reply is dropped", arguments: 0..<3)
    func cancelAfterNoScript(place: Int) {
        var (machine, ids) = reordered()
        let later = machine.nextID
        send(&machine, 4, at: start + .milliseconds(5))
        machine.flushed(now: start + .milliseconds(5))
        #expect(machine.cancel(ids[place]) == place + 1)
        #expect(machine.cancel(ids[place]) == nil, "only once")
        var delivered: [Int] = []
        for _ in 1...4 {
            if case .deliver(let caller, _) = machine.received(.null) { delivered.append(caller) }
        }
        #expect(delivered == [3, 1, 2, 4].filter { $0 != place + 1 })
        #expect(machine.cancel(later) == nil, "answered already")
        #expect(machine.pending.isEmpty)
    }

    @Test("a caller whose script was sent again can be cancelled after the connection broke, too")
    func cancelAfterNoScriptAndBreak() {
        var (machine, ids) = reordered()
        _ = machine.disconnected(RedisError(.notConnected, "gone"), random: 0)
        #expect(machine.cancel(ids[1]) == 2, "while there is no connection")
        #expect(makeReady(&machine) == [3, 1])
        machine.flushed(now: start)
        #expect(machine.cancel(ids[0]) == 1)
        guard case .deliver(3, _) = machine.received(.null), case .ignore = machine.received(.null) else {
            Issue.record("the order is lost")
            return
        }
        #expect(machine.pending.isEmpty)
    }

    @Test("ids that a broken connection left gaps between find their commands")
    func gaps() {
        var machine = readyMachine { $0.maximumPendingReplies = 100 }
        var ids: [Int: UInt64] = [:]
        for caller in 1...40 {
            ids[caller] = machine.nextID
            let script = caller.isMultiple(of: 7) ? Self.script : Self.once
            send(&machine, caller, command: RedisCommand(script, keys: ["k"]))
        }
        machine.flushed(now: start)
        _ = machine.disconnected(RedisError(.notConnected, "gone"), random: 0)
        #expect(makeReady(&machine) == [7, 14, 21, 28, 35])
        for caller in 1...40 {
            #expect(machine.cancel(ids[caller] ?? 0) == (caller.isMultiple(of: 7) ? caller : nil))
        }
    }

    @Test("deadlines keep their order when a script is sent again, and every caller is let go")
    func deadlinesAfterNoScript() {
        var (machine, _) = reordered()
        send(&machine, 4, at: start + .milliseconds(5))
        let deadlines = machine.pending.map(\.deadline)
        #expect(deadlines == deadlines.sorted())
        #expect(machine.sentCount == 3, "the last one is not flushed yet")
        #expect(summary(machine.tick(now: start + .seconds(2) + .milliseconds(2)).expired) == [])
        let expired = summary(machine.tick(now: start + .seconds(2) + .milliseconds(5)).expired)
        #expect(expired == ["3 timedOut", "1 timedOut", "2 timedOut", "4 notConnected"])
    }

    // MARK: Closing

    @Test("closing waits for replies that are due and takes nothing new")
    func drain() {
        var machine = readyMachine()
        send(&machine, 1)
        machine.flushed(now: start)
        guard case .drain = machine.close(now: start), case .none = machine.close(now: start) else {
            Issue.record("not draining")
            return
        }
        #expect(machine.refusal(ofCommands: 1)?.code == .closed)
        #expect(!machine.isDrained)
        _ = machine.received(.null)
        #expect(machine.isDrained)
        #expect(machine.disconnected(RedisError(.closed, "closed"), random: 0).reconnectAfter == nil)
        #expect(machine.nextTick == nil, "a closed connection that still has a deadline keeps its loop busy for ever")
    }

    @Test("closing gives up on replies that do not come")
    func drainDeadline() {
        var machine = readyMachine { $0.drainTimeout = .seconds(1) }
        send(&machine, 1, command: RedisCommand(Self.script, keys: ["k"]))
        machine.flushed(now: start)
        _ = machine.close(now: start)
        let error = machine.tick(now: start + .seconds(1)).disconnect
        #expect(error?.code == .timedOut)
        #expect(summary(machine.disconnected(RedisError(.closed, "closed"), random: 0).failures) == ["1 unknownOutcome"])
    }

    @Test("closing without a connection is over at once, and no attempt follows")
    func closeDisconnected() {
        var machine = Machine(configuration: configuration())
        _ = machine.enqueue(RedisCommand("PING"), 1, now: start)
        guard case .closeNow = machine.close(now: start) else {
            Issue.record("not closed")
            return
        }
        #expect(summary(machine.disconnected(RedisError(.closed, "closed"), random: 0).failures) == ["1 closed"])
        #expect(machine.connect(now: start) == false)
    }
}

extension RedisCommand {
    fileprivate var words: [RedisArgument] {
        if case .words(let words) = content { words } else { [] }
    }
}
