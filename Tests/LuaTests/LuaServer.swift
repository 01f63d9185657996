import Logging
import NIOCore
import NIOPosix
import Redis
import TestSupport
import Testing

/// One redis-server and one connection to it, for the tests of one suite.
final class LuaServer: Sendable {
    @TaskLocal fileprivate static var current: LuaServer?

    let process: TemporaryRedis
    private let client: RedisClient
    private let group: MultiThreadedEventLoopGroup

    fileprivate init() async throws {
        process = try await offPool { try TemporaryRedis() }
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var configuration = RedisConfiguration(endpoint: .unix(path: process.socketPath))
        configuration.commandDeadline = .seconds(30)
        client = RedisClient(configuration: configuration, eventLoopGroup: group, logger: Logger(label: "lua tests"))
        client.start()
    }

    fileprivate func end() async throws {
        await client.close()
        try await group.shutdownGracefully()
        process.kill()
    }

    /// The server of the running suite, emptied for the next case.
    static func emptied() async throws -> LuaServer {
        let server = try #require(current, "the suite lacks the trait .redisServer")
        _ = try await server.send("FLUSHALL", "SYNC")
        return server
    }

    func send(_ words: RedisArgument...) async throws -> RedisValue {
        try await client.send(RedisCommand(words: words))
    }

    /// Error replies stand in their places.
    func pipeline(_ commands: [RedisCommand]) async throws -> [RedisValue] {
        try await client.pipeline(commands)
    }
}

/// Gives a suite a redis-server of its own, which ends with it.
struct RedisServerTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let server = try await LuaServer()
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await LuaServer.$current.withValue(server) { try await function() })
        } catch {
            outcome = .failure(error)
        }
        try await server.end()
        try outcome.get()
    }
}

extension Trait where Self == RedisServerTrait {
    static var redisServer: Self { Self() }
}

// MARK: - Calls

/// An answer that is not of the shape that the headers of the scripts promise.
struct UnexpectedAnswer: Error {
    let value: RedisValue
}

extension RedisScript {
    /// A call with any number of keys: the wrong ones are the script's own to refuse.
    func command(_ keys: [String], _ arguments: [RedisArgument]) -> RedisCommand {
        let script = keys.count == keyCount ? self : RedisScript(name: name, source: source, keyCount: keys.count)
        return RedisCommand(script, keys: keys.map { .string($0) }, arguments: arguments)
    }

    /// The same script with Redis' clock standing still at an instant, for the edges of windows that no test can hit in time.
    func frozen(atMilliseconds now: Int64) -> RedisScript {
        let prelude = """
            local server = redis
            local redis = {
              call = function(name, ...)
                if name == 'TIME' then return { '\(now / 1000)', '\(now % 1000 * 1000 + 999)' } end
                return server.call(name, ...)
              end
            }

            """
        return RedisScript(name: name, source: prelude + source, keyCount: keyCount)
    }
}

extension LuaServer {
    /// Runs a script whose answer is an array of integers. Error replies are thrown.
    func numbers(_ script: RedisScript, _ keys: [String], _ arguments: [RedisArgument] = []) async throws -> [Int64] {
        try Self.numbers(try await client.send(script.command(keys, arguments)))
    }

    /// Runs a script whose answer is an array of strings. Error replies are thrown.
    func strings(_ script: RedisScript, _ keys: [String], _ arguments: [RedisArgument] = []) async throws -> [String] {
        let reply = try await client.send(script.command(keys, arguments))
        guard case .array(let elements) = reply else { throw UnexpectedAnswer(value: reply) }
        return try elements.map { element in
            guard case .bulk(let bytes) = element else { throw UnexpectedAnswer(value: reply) }
            return String(buffer: bytes)
        }
    }

    /// Expects that a script fails with an error that says `words`, and writes nothing.
    func expectError(
        _ words: String, from script: RedisScript, _ keys: [String], _ arguments: [RedisArgument] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await expectNothingWritten(sourceLocation: sourceLocation) {
            let reply = try await client.pipeline([script.command(keys, arguments)])[0]
            guard case .error(let error) = reply else {
                Issue.record("\(script.name) answered \(reply) instead of an error", sourceLocation: sourceLocation)
                return
            }
            #expect(error.message.contains(words), sourceLocation: sourceLocation)
        }
    }

    /// Expects that a script gives this answer and writes nothing.
    func expectRefusal(
        _ answer: [Int64], from script: RedisScript, _ keys: [String], _ arguments: [RedisArgument] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await expectNothingWritten(sourceLocation: sourceLocation) {
            let given = try await numbers(script, keys, arguments)
            #expect(given == answer, sourceLocation: sourceLocation)
        }
    }

    /// Integers only: a script that answers one in a string breaks its header's promise.
    static func numbers(_ reply: RedisValue) throws -> [Int64] {
        guard case .array(let elements) = reply else { throw UnexpectedAnswer(value: reply) }
        return try elements.map { element in
            guard case .integer(let number) = element else { throw UnexpectedAnswer(value: reply) }
            return number
        }
    }

    /// Redis' own clock in milliseconds.
    var now: Int64 {
        get async throws {
            let time = try #require(try await send("TIME").array)
            let (seconds, microseconds) = (try #require(time[0].integer), try #require(time[1].integer))
            return seconds * 1000 + microseconds / 1000
        }
    }
}
