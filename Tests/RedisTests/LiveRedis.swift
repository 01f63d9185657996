import Logging
import NIOCore
import NIOPosix
import TestSupport

@testable import Redis

/// A client on two loops, connected to `endpoint`, closed when `body` ends.
func withClient<Result>(
    _ endpoint: RedisEndpoint,
    waitsForConnection: Bool = true,
    handlers: @escaping @Sendable () -> [any ChannelHandler] = { [] },
    configure: (inout RedisConfiguration) -> Void = { _ in },
    logger: Logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }),
    isolation: isolated (any Actor)? = #isolation,
    _ body: (RedisClient) async throws -> Result
) async throws -> Result {
    var configuration = RedisConfiguration(endpoint: endpoint)
    configuration.drainTimeout = .milliseconds(500)
    // A machine busy with other builds must not turn a claim about order or loss into one about speed.
    configuration.commandDeadline = .seconds(30)
    configuration.connectTimeout = .seconds(30)
    configure(&configuration)
    var connector = RedisConnector(configuration: configuration)
    connector.additionalHandlers = handlers
    let client = RedisClient(
        configuration: configuration,
        eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
        connector: connector,
        logger: logger
    )
    client.start()
    do {
        if waitsForConnection { try await eventually("connected to \(endpoint)") { client.isConnected } }
        let result = try await body(client)
        await client.close()
        return result
    } catch {
        await client.close()
        throw error
    }
}

extension TemporaryRedis {
    var endpoint: RedisEndpoint { .unix(path: socketPath) }

    /// How often the server has run `command`, by its own count.
    func calls(of command: String) throws -> Int {
        let stats = RedisInfo(text: try cli("INFO", "commandstats"))["cmdstat_\(command)"] ?? "calls=0,"
        return Int(stats.dropFirst("calls=".count).prefix { $0 != "," }) ?? -1
    }
}

extension RedisClient {
    /// One connection of the client, to keep a test on one queue.
    var firstConnection: RedisConnection { connection(on: eventLoops[0]) }

    private var eventLoops: [any EventLoop] { Array(MultiThreadedEventLoopGroup.singleton.makeIterator()) }
}

/// What a command came to, as a value to compare.
enum Outcome: Equatable {
    case success(RedisValue)
    case failure(RedisError.Code)
}

func outcome(_ body: () async throws(RedisError) -> RedisValue) async -> Outcome {
    do throws(RedisError) { return .success(try await body()) } catch { return .failure(error.code) }
}
