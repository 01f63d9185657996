import EventLoops
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import Redis

/// Against a real server on a unix socket.
@Suite(.serialized) struct RedisClientTests {
    static let addOne = RedisScript(name: "add_one", source: "return redis.call('INCR', KEYS[1])", keyCount: 1)
    static let echo = RedisScript(name: "echo", source: "return {ARGV[1], tonumber(ARGV[2])}", keyCount: 0, isRepeatable: true)

    @Test("10,000 callers at once each get their own reply")
    func pipelining() async throws {
        try await withTemporaryRedis { redis in
            try await withClient(
                redis.endpoint,
                configure: { configuration in
                    configuration.commandDeadline = .seconds(30)
                }
            ) { client in
                try await withThrowingTaskGroup { tasks in
                    for caller in 0..<10_000 {
                        tasks.addTask {
                            let reply = try await client.firstConnection.send(RedisCommand("ECHO", .integer(Int64(caller))))
                            #expect(reply.integer == Int64(caller))
                        }
                    }
                    try await tasks.waitForAll()
                }
                #expect(try redis.calls(of: "echo") == 10_000)
                #expect(client.statistics.pending == 0)
            }
        }
    }

    @Test("commands of one loop tick leave in one write")
    func oneWritePerTick() async throws {
        let writes = WriteCounter.Count()
        try await withTemporaryRedis { redis in
            try await withClient(redis.endpoint, handlers: { [WriteCounter(writes)] }) { client in
                let connection = client.firstConnection
                let before = writes.value
                let replies = try await connection.eventLoop.flatSubmit {
                    let promises = (0..<100).map { _ in connection.eventLoop.makePromise(of: RedisValue.self) }
                    for promise in promises {
                        connection.send(RedisCommand("INCR", "n")) { promise.completeWith($0.mapError { $0 as any Error }) }
                    }
                    return EventLoopFuture.whenAllSucceed(promises.map(\.futureResult), on: connection.eventLoop)
                }.get()
                #expect(replies.map(\.integer) == (1...100).map { Int64($0) })
                #expect(writes.value == before + 1)
            }
        }
    }

    @Test("a task on the connection's loop stays there")
    func staysOnLoop() async throws {
        try await withTemporaryRedis { redis in
            try await withClient(redis.endpoint) { client in
                let connection = client.firstConnection
                let executor = EventLoopExecutor(eventLoop: connection.eventLoop)
                try await withThrowingTaskGroup { tasks in
                    for number in 0..<200 {
                        tasks.addTask(executorPreference: executor) {
                            #expect(connection.eventLoop.inEventLoop)
                            for round in 0..<5 {
                                let reply = try await connection.evaluate(
                                    Self.echo, keys: [], arguments: ["x", .integer(Int64(number * round))])
                                #expect(connection.eventLoop.inEventLoop)
                                #expect(reply.array?.last == .integer(Int64(number * round)))
                            }
                        }
                    }
                    try await tasks.waitForAll()
                }
            }
        }
    }

    @Test("a task begun with Task.immediate on the loop writes its command before it suspends")
    func immediateTask() async throws {
        try await withTemporaryRedis { redis in
            try await withClient(redis.endpoint) { client in
                let connection = client.firstConnection
                let executor = EventLoopExecutor(eventLoop: connection.eventLoop)
                let (task, sent) = try await connection.eventLoop.submit {
                    let before = connection.counters.sent.value
                    let task = Task.immediate(executorPreference: executor) {
                        let reply = try await connection.send(RedisCommand("ECHO", "here"))
                        return (reply.string, connection.eventLoop.inEventLoop)
                    }
                    return (task, connection.counters.sent.value - before)
                }.get()
                #expect(sent == 1)
                #expect(try await task.value == ("here", true))
            }
        }
    }

    @Test("a script forgotten by the server runs all the same, once per call")
    func scriptFlush() async throws {
        try await withTemporaryRedis { redis in
            try await withClient(redis.endpoint, configure: { $0.scripts = [Self.addOne] }) { client in
                let connection = client.firstConnection
                #expect(try await connection.evaluate(Self.addOne, keys: ["n"]) == .integer(1))
                #expect(try redis.calls(of: "eval") == 0, "the handshake loads it")
                try redis.cli("SCRIPT", "FLUSH")
                #expect(try await connection.evaluate(Self.addOne, keys: ["n"]) == .integer(2))
                try redis.cli("SCRIPT", "FLUSH")
                let replies = try await connection.pipeline((0..<5).map { _ in RedisCommand(Self.addOne, keys: ["n"]) })
                #expect(replies.compactMap(\.integer).sorted() == [3, 4, 5, 6, 7])
                #expect(try redis.cli("GET", "n") == "7")
                #expect(try await connection.evaluate(Self.addOne, keys: ["n"]) == .integer(8))
            }
        }
    }

    @Test("the digest is the server's")
    func digest() async throws {
        try await withTemporaryRedis { redis in
            let named = try redis.cli("SCRIPT", "LOAD", Self.echo.source)
            #expect(named == Self.echo.sha1)
        }
    }

    @Test("a pipeline answers in order, with errors in their places")
    func pipeline() async throws {
        try await withTemporaryRedis { redis in
            try await withClient(redis.endpoint) { client in
                let replies = try await client.pipeline([
                    RedisCommand("SET", "k", "v"), RedisCommand("INCR", "k"), RedisCommand("GET", "k"),
                ])
                #expect(replies[0] == .simple("OK"))
                #expect(replies[1] == .error(RedisServerError(message: "ERR value is not an integer or out of range")))
                #expect(replies[2].string == "v")
                #expect(try await client.pipeline([]) == [])
            }
        }
    }

    @Test("user, password, database and name reach the server, over TCP too")
    func authentication() async throws {
        let arguments = ["--user", "ann", "on", ">p@ss", "~*", "+@all", "--requirepass", "default"]
        try await withTemporaryRedis(arguments: arguments, onTCP: true) { redis in
            let endpoint = try RedisEndpoint(url: "redis://ann:p%40ss@127.0.0.1:\(redis.port ?? 0)/3")
            try await withClient(endpoint, configure: { $0.clientName = "tests" }) { client in
                let info = try await client.send(RedisCommand("CLIENT", "INFO")).string ?? ""
                #expect(info.contains(" db=3 ") && info.contains(" name=tests ") && info.contains(" user=ann "))
            }
            let byPassword = try RedisEndpoint(url: "unix://:default@\(redis.socketPath)")
            try await withClient(byPassword) { client in
                let user = try await client.send(RedisCommand("ACL", "WHOAMI"))
                #expect(user.string == "default")
            }
        }
    }

    @Test("a wrong password shows as the reason there is no connection", arguments: ["unix://:wrong@", "unix://"])
    func wrongPassword(prefix: String) async throws {
        try await withTemporaryRedis(arguments: ["--requirepass", "right"]) { redis in
            let endpoint = try RedisEndpoint(url: prefix + redis.socketPath)
            try await withClient(endpoint, waitsForConnection: false) { client in
                let error = await #expect(throws: RedisError.self) { _ = try await client.send(RedisCommand("PING")) }
                #expect(error?.code == .notConnected)
                let expected: RedisServerError.Kind = prefix.contains("wrong") ? .wrongPassword : .authenticationRequired
                #expect((error?.cause as? RedisError)?.code == .server(expected))
                #expect(error.map { "\($0.reason)".contains("wrong@") } == false)
            }
        }
    }

    @Test("the server's refusals have their codes")
    func serverErrors() async throws {
        try await withTemporaryRedis(arguments: ["--busy-reply-threshold", "1"]) { redis in
            // A client that insists on a primary would leave this server at its first READONLY.
            try await withClient(redis.endpoint, configure: { $0.requiresPrimary = false }) { client in
                let set = RedisCommand("SET", "k", "v")
                _ = try await client.send(set)
                #expect(
                    await outcome { () async throws(RedisError) in try await client.send(RedisCommand("LPUSH", "k", 1)) }
                        == .failure(.server(.wrongType)))
                try redis.cli("CONFIG", "SET", "maxmemory", "1")
                #expect(await outcome { () async throws(RedisError) in try await client.send(set) } == .failure(.server(.outOfMemory)))
                try redis.cli("CONFIG", "SET", "maxmemory", "0")
                try redis.cli("REPLICAOF", "127.0.0.1", "1")
                #expect(await outcome { () async throws(RedisError) in try await client.send(set) } == .failure(.server(.readOnly)))
                try redis.cli("CONFIG", "SET", "replica-serve-stale-data", "no")
                #expect(
                    await outcome { () async throws(RedisError) in try await client.send(RedisCommand("GET", "k")) }
                        == .failure(.server(.primaryDown)))
                try redis.cli("REPLICAOF", "NO", "ONE")
            }
        }
    }

    @Test("a client that closes answers what it sent, and takes nothing more")
    func closeDrains() async throws {
        try await withTemporaryRedis { redis in
            try await withClient(redis.endpoint) { client in
                let connection = client.firstConnection
                let answered = Mutex(0)
                try await connection.eventLoop.submit {
                    for _ in 0..<1000 {
                        connection.send(RedisCommand("INCR", "n")) { result in
                            if case .success = result { answered.withLock { $0 += 1 } }
                        }
                    }
                }.get()
                await client.close()
                #expect(answered.withLock { $0 } == 1000)
                #expect(try redis.cli("GET", "n") == "1000")
                #expect(await outcome { () async throws(RedisError) in try await client.send(RedisCommand("PING")) } == .failure(.closed))
                try await eventually("no connection is left") { try !redis.cli("CLIENT", "LIST").contains("name=firstcome") }
            }
        }
    }
}

/// Counts the writes that reach the socket.
private final class WriteCounter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    final class Count: Sendable {
        private let number = Atomic(0)
        var value: Int { number.load(ordering: .relaxed) }
        func add() { number.add(1, ordering: .relaxed) }
    }

    private let count: Count

    init(_ count: Count) { self.count = count }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        count.add()
        context.write(data, promise: promise)
    }
}
