import App
import ArgumentParser
import Logging
import Redis
import Services
import Store

/// `firstcome redis`: shows which store a Redis serves, or makes it serve the store of a folder.
struct RedisStoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redis", abstract: "Shows which store a Redis serves, or makes it serve the store of the folder.",
        subcommands: [Show.self, Take.self])

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints which store a Redis serves, and which one the folder holds.")

        @OptionGroup var data: DataOption
        @OptionGroup var redis: RedisOption

        func run() async throws {
            let (owner, store, url) = try await use(data, redis) { takeover, store, endpoint in
                (try await takeover.owner(), store, endpoint.description)
            }
            print("the Redis at \(url) serves \(owner.words)")
            print("the folder \(data.path) holds \(store.words)")
            switch owner {
            case .named(store.description): print("the Redis serves the store of this folder")
            case .none: print("the next start of the service with this Redis uses it for this store")
            case .unnamed where store.incarnation == 0: print("the next start of the service with this Redis uses it for this store")
            case .named, .unnamed:
                print("to have it serve this store: firstcome redis take --data \(data.path) --redis URL --from \(owner.name ?? "")")
            }
        }
    }

    struct Take: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a Redis serve the store of the folder.",
            discussion: """
                For a Redis that served another store, or this store before it was restored. Removes the gates of the coupons and the \
                ranking from the Redis, and nothing else; the service rebuilds them from its store. Refused while a service is connected \
                to the Redis.
                """)

        @OptionGroup var data: DataOption
        @OptionGroup var redis: RedisOption

        @Option(help: ArgumentHelp("The store that the Redis serves now, as `firstcome redis show` prints it.", valueName: "store"))
        var from: String?

        func run() async throws {
            let (removed, store) = try await use(data, redis) { takeover, store, _ in (try await takeover.take(from: from), store) }
            print("the Redis serves \(store.words); \(removed) keys were removed")
        }
    }

    private static func use<Value: Sendable>(
        _ data: DataOption, _ redis: RedisOption, _ body: (RedisTakeover, StoreIdentity, RedisEndpoint) async throws -> Value
    ) async throws -> Value {
        guard let endpoint = try redis.endpoint() else {
            throw ValidationError("--redis is missing; a private Redis is taken over by the service itself")
        }
        return try await RedisTakeover.use(
            endpoint, for: try DataFolder.existing(data.path), calendar: try TimeZoneOption.standard(), logger: .ofTools
        ) { takeover, store in try await body(takeover, store, endpoint) }
    }
}
