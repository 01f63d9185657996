import App
import ArgumentParser
import Logging
import Redis

/// The options `--redis` and `--redis-password-file`.
struct RedisOption: ParsableArguments {
    @Option(
        name: .customLong("redis"),
        help: ArgumentHelp(
            """
            redis://[user[:password]@]host:port/db, rediss://..., unix:///path, redis+cluster://host:port,host:port or \
            redis+sentinel://host:port,host:port/name; without it, a private one in the data folder.
            """,
            valueName: "url"))
    var url: String?

    @Option(
        name: .customLong("redis-password-file"),
        help: ArgumentHelp(
            "A file with the password of the Redis that --redis names, instead of one in the URL. (systemd credential: redis-password)",
            valueName: "file"),
        completion: .file())
    var passwordFile: String?

    func validate() throws {
        guard url != nil || passwordFile == nil else {
            throw ValidationError("--redis-password-file needs --redis; a private Redis has no password")
        }
        // The file is read later; any password in its place shows whether the URL can be used with one.
        _ = try url.map { try Self.endpoint(url: $0, password: file == nil ? nil : "-") }
    }

    private var file: String? { passwordFile ?? SecretFile.ofCredential("redis-password", environment: EnvironmentFlags.ofProcess) }

    /// `nil` for the private one.
    func endpoint(logger: Logger = .ofTools) throws -> RedisEndpoint? {
        guard let url else { return nil }
        return try Self.endpoint(url: url, password: try password(logger: logger))
    }

    private static func endpoint(url: String, password: String?) throws -> RedisEndpoint {
        do {
            return try RedisEndpoint(url: url, password: password)
        } catch {
            throw ValidationError("--redis: \(error.message)")
        }
    }

    private func password(logger: Logger) throws -> String? {
        guard let file else { return nil }
        let bytes = try SecretFile.read(file, flag: "--redis-password-file", logger: logger)
        guard let password = String(validating: bytes, as: UTF8.self) else {
            throw CommandError("--redis-password-file \(file): the password is no UTF-8 text")
        }
        return password
    }
}
