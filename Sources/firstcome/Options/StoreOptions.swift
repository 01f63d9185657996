import App
import ArgumentParser
import Logging
import Postgres
import PostgresStore

/// The options `--store` and `--store-password-file`.
struct StoreOption: ParsableArguments {
    @Option(
        name: .customLong("store"),
        help: ArgumentHelp(
            """
            A PostgreSQL for the store, postgresql://[user@]host[:port][,...]/database[?option=value]; without it, the store is in the \
            data folder.
            """, valueName: "url"))
    var url: String?

    @Option(
        name: .customLong("store-password-file"),
        help: ArgumentHelp(
            "A file with the password for --store, instead of one in the URL. (systemd credential: store-password)", valueName: "file"),
        completion: .file())
    var passwordFile: String?

    func validate() throws {
        guard url != nil || passwordFile == nil else { throw ValidationError("--store-password-file needs --store") }
        // The file is read later; any password in its place shows whether the URL can be used with one.
        _ = try url.map { try Self.endpoint(url: $0, password: file == nil ? nil : "-") }
    }

    private var file: String? { passwordFile ?? SecretFile.ofCredential("store-password", environment: EnvironmentFlags.ofProcess) }

    /// The server of the store; nil for a store in the data folder.
    func server(logger: Logger = .ofTools) throws -> PostgresStoreConfiguration? {
        guard let url else { return nil }
        let endpoint = try Self.endpoint(url: url, password: try password(logger: logger))
        return PostgresStoreConfiguration(connection: PostgresConfiguration(endpoint: endpoint))
    }

    private static func endpoint(url: String, password: String?) throws -> PostgresEndpoint {
        do {
            return try PostgresEndpoint(url: url, password: password)
        } catch {
            throw ValidationError("--store: \(error.message)")
        }
    }

    private func password(logger: Logger) throws -> String? {
        guard let file else { return nil }
        let bytes = try SecretFile.read(file, flag: "--store-password-file", logger: logger)
        guard let password = String(validating: bytes, as: UTF8.self) else {
            throw CommandError("--store-password-file \(file): the password is no UTF-8 text")
        }
        return password
    }
}

extension StoreOption {
    /// The store of `--store`, or of an existing data folder.
    func place(data: DataOption) throws -> StorePlace {
        if let server = try server() { return .server(server) }
        return .folder(try DataFolder.existing(data.path))
    }

    /// Refuses `--data` beside `--store`, for commands that need nothing else of the data folder than its store.
    func validateAlone(without data: DataOption) throws {
        guard url == nil || !data.isGiven else { throw ValidationError("give either --store or --data") }
    }

    /// Refuses `--data` where store and Redis are both elsewhere.
    func validate(with redis: RedisOption, data: DataOption) throws {
        guard url == nil || redis.url == nil || !data.isGiven else {
            throw ValidationError("--data has no use beside --store and --redis; leave it out")
        }
    }
}

extension RunConfiguration {
    /// Takes the options that say where store and Redis are.
    mutating func use(_ store: StoreOption, _ redis: RedisOption, logger: Logger) throws {
        self.storeServer = try store.server(logger: logger)
        self.redis = try redis.endpoint(logger: logger)
    }
}
