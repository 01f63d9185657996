import EventLoops
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Redis

/// Servers that stall, die, forget and connections that are cut.
@Suite(.serialized) struct RedisFaultTests {
    static let countOnce = RedisScript(name: "count", source: "return redis.call('INCR', KEYS[1])", keyCount: 1)
    /// Leaves and answers the same however often it runs; `runs` shows that it did.
    static let countAgain = RedisScript(
        name: "claim", source: "redis.call('INCR', KEYS[1]) return ARGV[1]", keyCount: 1, isRepeatable: true)

    private func send(_ client: RedisClient, _ words: RedisArgument...) async -> Outcome {
        await outcome { () async throws(RedisError) in try await client.firstConnection.send(RedisCommand(words: words)) }
    }

    @Test("a caller of a stalled server is let go at its deadline; the late reply goes to nobody else")
    func timeout() async throws {
        try await withTemporaryRedis { redis in
            try await withClient(redis.endpoint, configure: { $0.commandDeadline = .milliseconds(100) }) { client in
                redis.pause()
                #expect(await send(client, "ECHO", "late") == .failure(.timedOut))
                #expect(client.isConnected)
                redis.resume()
                try await eventually("answers again") { await send(client, "ECHO", "next") == .success(.bulk(ByteBuffer(string: "next"))) }
                #expect(client.statistics.timedOut >= 1)
                #expect(client.statistics.reconnects == 0)
                #expect(try redis.calls(of: "echo") >= 2, "the timed-out command ran")
            }
        }
    }

    @Test("a server that stays silent for too long is given up, and found again when it wakes")
    func stall() async throws {
        try await withTemporaryRedis { redis in
            try await withClient(
                redis.endpoint,
                configure: { configuration in
                    configuration.commandDeadline = .milliseconds(50)
                    configuration.stallTimeout = .milliseconds(200)
                    configuration.connectTimeout = .milliseconds(200)
                    configuration.maximumBackoff = .milliseconds(50)
                }
            ) { client in
                redis.pause()
                #expect(await send(client, "PING") == .failure(.timedOut))
                try await eventually("given up") { !client.firstConnection.isConnected }
                #expect(await send(client, "PING") == .failure(.notConnected))
                redis.resume()
                try await eventually("found again") { client.firstConnection.isConnected }
                // A busy machine may exceed the short deadline again.
                try await eventually("answers again") { await send(client, "PING") == .success(.simple("PONG")) }
                #expect(client.statistics.reconnects >= 1)
            }
        }
    }

    @Test("past the bound commands are refused at once, and those before it are answered")
    func overload() async throws {
        try await withTemporaryRedis { redis in
            try await withClient(redis.endpoint, configure: { $0.maximumPendingReplies = 50 }) { client in
                redis.pause()
                let connection = client.firstConnection
                let (accepted, codes) = try await connection.eventLoop.submit {
                    let codes = Codes()
                    let promises = (0..<60).map { _ in
                        let promise = connection.eventLoop.makePromise(of: Void.self)
                        connection.send(RedisCommand("INCR", "n")) { result in
                            codes.add(result)
                            promise.succeed()
                        }
                        return promise
                    }
                    return (EventLoopFuture.andAllComplete(promises.map(\.futureResult), on: connection.eventLoop), codes.refused)
                }.get()
                #expect(codes == Array(repeating: .overloaded, count: 10))
                redis.resume()
                try await accepted.get()
                #expect(try redis.cli("GET", "n") == "50")
                #expect(client.statistics.overloaded == 10)
                await #expect(throws: RedisError.self, "a pipeline is taken whole or not at all") {
                    _ = try await connection.pipeline(Array(repeating: RedisCommand("INCR", "n"), count: 51))
                }
                #expect(try redis.cli("GET", "n") == "50")
            }
        }
    }

    @Test("cancelling callers frees them at once and gives nobody another's reply", arguments: [true, false])
    func cancellation(onLoop: Bool) async throws {
        try await withTemporaryRedis { redis in
            try await withClient(redis.endpoint, configure: { $0.commandDeadline = .seconds(20) }) { client in
                let connection = client.firstConnection
                let executor: EventLoopExecutor? = onLoop ? EventLoopExecutor(eventLoop: connection.eventLoop) : nil
                redis.pause()
                let tasks = (0..<100).map { number in
                    Task(executorPreference: executor) {
                        await outcome { () async throws(RedisError) in
                            try await connection.send(RedisCommand("ECHO", .integer(Int64(number))))
                        }
                    }
                }
                try await eventually("all wait") { connection.counters.pending.value == 100 }
                for number in stride(from: 0, to: 100, by: 2) { tasks[number].cancel() }
                for number in stride(from: 0, to: 100, by: 2) { #expect(await tasks[number].value == .failure(.cancelled)) }
                redis.resume()
                for number in stride(from: 1, to: 100, by: 2) {
                    #expect(await tasks[number].value == .success(.bulk(ByteBuffer(string: "\(number)"))))
                }
                #expect(try redis.calls(of: "echo") == 100, "a cancelled command keeps its place on the wire")
            }
        }
    }

    @Test("a task that is cancelled already sends nothing")
    func cancelledBefore() async throws {
        try await withTemporaryRedis { redis in
            try await withClient(redis.endpoint) { client in
                let task = Task {
                    withUnsafeCurrentTask { $0?.cancel() }
                    let single = await outcome { () async throws(RedisError) in try await client.send(RedisCommand("ECHO", 1)) }
                    let several = await #expect(throws: RedisError.self) { _ = try await client.pipeline([RedisCommand("ECHO", 1)]) }
                    return (single, several?.code)
                }
                let (single, several) = await task.value
                #expect(single == .failure(.cancelled))
                #expect(several == .cancelled)
                let calls = try redis.calls(of: "echo")
                #expect(calls == 0)
            }
        }
    }

    @Test("a server that dies leaves an unknown outcome; the client fails fast, comes back and says so")
    func killAndRestart() async throws {
        try await withTemporaryRedis { redis in
            try await withClient(redis.endpoint, configure: { $0.scripts = [Self.countOnce] }) { client in
                var events = client.connectEvents().makeAsyncIterator()
                redis.pause()
                async let waiting = send(client, "INCR", "n")
                try await eventually("sent") { client.statistics.pending == 1 }
                redis.kill()
                #expect(await waiting == .failure(.unknownOutcome))
                #expect(await send(client, "INCR", "n") == .failure(.notConnected))
                #expect(!client.isConnected)
                try redis.start()
                let event = await events.next()
                #expect(event?.isReconnect == true)
                try await eventually("connected again") { client.isConnected }
                #expect(try await client.evaluate(Self.countOnce, keys: ["n"]) == .integer(1))
                #expect(try redis.calls(of: "eval") == 0, "the handshake loaded the script again")
                #expect(client.statistics.unknownOutcomes == 1)
            }
        }
    }

    @Test("a client that starts before its server connects when the server comes")
    func startsFirst() async throws {
        try await withTemporaryRedis { redis in
            redis.kill()
            try await withClient(redis.endpoint, waitsForConnection: false) { client in
                #expect(await send(client, "PING") == .failure(.notConnected))
                try redis.start()
                try await eventually("connected") { client.isConnected }
                #expect(await send(client, "PING") == .success(.simple("PONG")))
            }
        }
    }

    /// Answers as a script does that turns somebody away: without writing.
    static let look = RedisScript(name: "look", source: "return redis.call('EXISTS', KEYS[1])", keyCount: 1, isRepeatable: true)

    @Test("a replica that answers reads is refused with the reason, and taken once it is promoted")
    func replica() async throws {
        try await withTemporaryRedis(onTCP: true) { primary in
            try await withTemporaryRedis(arguments: ["--replicaof", "127.0.0.1", "\(primary.port ?? 0)"]) { replica in
                try await withClient(replica.endpoint, waitsForConnection: false, configure: { $0.scripts = [Self.look] }) { client in
                    #expect(try replica.cli("EVAL", Self.look.source, "1", "k") == "0", "whoever asks by hand gets an answer")
                    let error = await #expect(throws: RedisError.self) { _ = try await client.evaluate(Self.look, keys: ["k"]) }
                    #expect(error?.code == .notConnected)
                    let cause = error?.cause as? RedisError
                    #expect(cause?.code == .notPrimary && cause?.message == "it is a replica")
                    #expect(!client.isConnected)
                    try replica.cli("REPLICAOF", "NO", "ONE")
                    try await eventually("connected") { client.isConnected }
                    #expect(try await client.evaluate(Self.look, keys: ["k"]) == .integer(0))
                }
            }
        }
    }

    @Test("a primary that becomes a replica is left at the first write, and taken again when it is a primary")
    func demoted() async throws {
        try await withTemporaryRedis { redis in
            try await withClient(redis.endpoint, configure: { $0.scripts = [Self.countOnce, Self.look] }) { client in
                let connection = client.firstConnection
                #expect(try await connection.evaluate(Self.countOnce, keys: ["n"]) == .integer(1))
                try redis.cli("REPLICAOF", "127.0.0.1", "1")
                let error = await #expect(throws: RedisError.self) { _ = try await connection.evaluate(Self.countOnce, keys: ["n"]) }
                #expect(error?.code == .server(.readOnly))
                #expect(!connection.isConnected)
                let refused = await #expect(throws: RedisError.self) { _ = try await connection.evaluate(Self.look, keys: ["n"]) }
                #expect(refused?.code == .notConnected)
                try redis.cli("REPLICAOF", "NO", "ONE")
                try await eventually("connected again") { connection.isConnected }
                #expect(try await connection.evaluate(Self.countOnce, keys: ["n"]) == .integer(2))
            }
        }
    }

    @Test("a user who may not ask for the role gets no connection, and the reason names the command")
    func roleNotPermitted() async throws {
        try await withTemporaryRedis(arguments: ["--user", "ann", "on", ">secret", "~*", "+@all", "-role"]) { redis in
            let endpoint = try RedisEndpoint(url: "unix://ann:secret@\(redis.socketPath)")
            try await withClient(endpoint, waitsForConnection: false) { client in
                let error = await #expect(throws: RedisError.self) { _ = try await client.send(RedisCommand("PING")) }
                let cause = error?.cause as? RedisError
                #expect(cause?.code == .notPrimary && cause?.message.contains("ROLE") == true)
                try redis.cli("ACL", "SETUSER", "ann", "+role")
                try await eventually("connected") { client.isConnected }
            }
        }
    }

    @Test("cancelling callers of a script that the server forgot frees them at once, although it is sent again behind others")
    func cancelForgotten() async throws {
        try await withTemporaryRedis { redis in
            try await withClient(redis.endpoint, configure: { $0.scripts = [Self.countOnce] }) { client in
                let connection = client.firstConnection
                let executor = EventLoopExecutor(eventLoop: connection.eventLoop)
                try redis.cli("SCRIPT", "FLUSH")
                let before = connection.counters.sent.value
                // Both leave in one write. The server answers the call with NOSCRIPT and then holds the connection until a push.
                let (call, blocked) = try await connection.eventLoop.submit {
                    let call = Task.immediate(executorPreference: executor) {
                        await outcome { () async throws(RedisError) in try await connection.evaluate(Self.countOnce, keys: ["n"]) }
                    }
                    let blocked = Task.immediate(executorPreference: executor) {
                        await outcome { () async throws(RedisError) in try await connection.send(RedisCommand("BLPOP", "queue", 0)) }
                    }
                    return (call, blocked)
                }.get()
                try await eventually("sent again") { connection.counters.sent.value == before + 3 }
                call.cancel()
                #expect(await call.value == .failure(.cancelled))
                try redis.cli("RPUSH", "queue", "x")
                #expect(await blocked.value == .success(.array([.bulk(ByteBuffer(string: "queue")), .bulk(ByteBuffer(string: "x"))])))
                try await eventually("the reply of the cancelled call was dropped") { connection.counters.pending.value == 0 }
                #expect(try redis.cli("GET", "n") == "1")
            }
        }
    }

    @Test("a reply lost after the script ran is an unknown outcome; wherever in the reply the cut falls", arguments: 0...3)
    func cutReply(bytes: Int) async throws {
        try await withTemporaryRedis { redis in
            let proxy = try await FaultProxy(to: redis.socketPath, in: redis.directory)
            try await withClient(.unix(path: proxy.socketPath), configure: { $0.scripts = [Self.countOnce] }) { client in
                proxy.inject(.cut(afterReplyBytes: bytes))
                let lost = await outcome { () async throws(RedisError) in
                    try await client.firstConnection.evaluate(Self.countOnce, keys: ["n"])
                }
                #expect(lost == .failure(.unknownOutcome))
                #expect(try redis.cli("GET", "n") == "1", "it ran")
                try await eventually("connected again") { client.isConnected }
                #expect(
                    try await client.firstConnection.evaluate(Self.countOnce, keys: ["n"]) == .integer(2), "and not a second time by itself"
                )
            }
            try await proxy.close()
        }
    }

    @Test("a repeatable script whose reply is lost is sent again and answers")
    func repeatsAfterCut() async throws {
        try await withTemporaryRedis { redis in
            let proxy = try await FaultProxy(to: redis.socketPath, in: redis.directory)
            try await withClient(.unix(path: proxy.socketPath), configure: { $0.scripts = [Self.countAgain] }) { client in
                proxy.inject(.cut(afterReplyBytes: 2))
                let reply = try await client.firstConnection.evaluate(Self.countAgain, keys: ["runs"], arguments: ["won"])
                #expect(reply.string == "won")
                #expect(try redis.cli("GET", "runs") == "2")
                #expect(client.statistics.reconnects == 1)
                #expect(client.statistics.unknownOutcomes == 0)
            }
            try await proxy.close()
        }
    }

    @Test("of a pipeline that is cut in the middle, no caller hears a guess")
    func cutPipeline() async throws {
        try await withTemporaryRedis { redis in
            let proxy = try await FaultProxy(to: redis.socketPath, in: redis.directory)
            try await withClient(.unix(path: proxy.socketPath)) { client in
                // ":1\r\n" to ":5\r\n" pass, and half of the sixth.
                proxy.inject(.cut(afterReplyBytes: 22))
                let codes = Codes()
                let connection = client.firstConnection
                try await connection.eventLoop.flatSubmit {
                    let promises = (0..<9).map { _ in
                        let promise = connection.eventLoop.makePromise(of: Void.self)
                        connection.send(RedisCommand("INCR", "n")) { result in
                            codes.add(result)
                            promise.succeed()
                        }
                        return promise.futureResult
                    }
                    return EventLoopFuture.andAllComplete(promises, on: connection.eventLoop)
                }.get()
                #expect(codes.answers == [1, 2, 3, 4, 5])
                #expect(codes.refused == Array(repeating: .unknownOutcome, count: 4))
                #expect(try redis.cli("GET", "n") == "9", "the server ran them all")
            }
            try await proxy.close()
        }
    }
}

/// Outcomes in the order in which callbacks heard of them.
private final class Codes: Sendable {
    private let state = Mutex<(answers: [Int64], refused: [RedisError.Code])>(([], []))

    var answers: [Int64] { state.withLock { $0.answers } }
    var refused: [RedisError.Code] { state.withLock { $0.refused } }

    func add(_ result: Result<RedisValue, RedisError>) {
        state.withLock { state in
            switch result {
            case .success(let value): state.answers.append(value.integer ?? -1)
            case .failure(let error): state.refused.append(error.code)
            }
        }
    }
}
