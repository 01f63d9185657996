import App
import ArgumentParser
import Logging
import Redis
import Services
import Store

/// `firstcome redis`: shows which store a Redis serves, or makes it serve the store of a folder.
struct RedisStoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redis", abstract: "Shows which store a Redis serves, or makes it serve another one.",
        subcommands: [Show.self, Take.self])

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints which store a Redis serves, and which one the folder or the database holds.")

        @OptionGroup var data: DataOption
        @OptionGroup var store: StoreOption
        @OptionGroup var redis: RedisOption

        func validate() throws { try store.validateAlone(without: data) }

        func run() async throws {
            let (owner, identity, url) = try await use(store, data, redis) { takeover, identity, endpoint in
                (try await takeover.owner(), identity, endpoint.description)
            }
            let (place, option) = store.url == nil ? ("folder \(data.path)", "--data \(data.path)") : ("database", "--store URL")
            print("the Redis at \(url) serves \(owner.words)")
            print("the \(place) holds \(identity.words)")
            switch owner {
            case .named(identity.description): print("the Redis serves the store of this \(store.url == nil ? "folder" : "database")")
            case .none: print("the next start of the service with this Redis uses it for this store")
            case .unnamed where identity.incarnation == 0: print("the next start of the service with this Redis uses it for this store")
            case .named, .unnamed:
                print("to have it serve this store: firstcome redis take \(option) --redis URL --from \(owner.name ?? "")")
            }
        }
    }

    struct Take: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a Redis serve the store of the folder, or of the database that --store names.",
            discussion: """
                For a Redis that served another store, or this store before it was restored. Removes the gates of the coupons and the \
                ranking from the Redis, and nothing else; the service rebuilds them from its store. Refused while a service is connected \
                to the Redis.
                """)

        @OptionGroup var data: DataOption
        @OptionGroup var store: StoreOption
        @OptionGroup var redis: RedisOption

        @Option(help: ArgumentHelp("The store that the Redis serves now, as `firstcome redis show` prints it.", valueName: "store"))
        var from: String?

        func validate() throws { try store.validateAlone(without: data) }

        func run() async throws {
            let (removed, identity) = try await use(store, data, redis) { takeover, identity, _ in
                (try await takeover.take(from: from), identity)
            }
            print("the Redis serves \(identity.words); \(removed) keys were removed")
        }
    }

    private static func use<Value: Sendable>(
        _ store: StoreOption, _ data: DataOption, _ redis: RedisOption,
        _ body: (RedisTakeover, StoreIdentity, RedisEndpoint) async throws -> Value
    ) async throws -> Value {
        guard let endpoint = try redis.endpoint() else {
            throw ValidationError("--redis is missing; a private Redis is taken over by the service itself")
        }
        return try await RedisTakeover.use(
            endpoint, for: try store.place(data: data), calendar: try TimeZoneOption.standard(), logger: .ofTools
        ) { takeover, store in try await body(takeover, store, endpoint) }
    }
}
