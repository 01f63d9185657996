import App
import ArgumentParser
import Logging

/// The secret that signs posts to the data platform: in a file, in the environment, or on the command line.
struct DataPlatformSecretOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A file with the secret that signs posts to the data platform. (systemd credential: data-platform-secret)", valueName: "file"),
        completion: .file())
    var dataPlatformSecretFile: String?

    @Option(
        help: ArgumentHelp(
            "The secret itself, for FIRSTCOME_DATA_PLATFORM_SECRET: on a command line every account of the machine could read it.",
            valueName: "secret"))
    var dataPlatformSecret: String?

    private var credential: String? {
        SecretFile.ofCredential("data-platform-secret", environment: EnvironmentFlags.ofProcess)
    }

    /// Whether any form is given.
    var isGiven: Bool { dataPlatformSecret?.isEmpty == false || dataPlatformSecretFile != nil || credential != nil }

    func validate() throws {
        guard dataPlatformSecret == nil || dataPlatformSecretFile == nil else {
            throw ValidationError("give --data-platform-secret-file or FIRSTCOME_DATA_PLATFORM_SECRET, not both")
        }
    }

    /// The secret; empty where none is given.
    func secret(logger: Logger) throws -> [UInt8] {
        if let dataPlatformSecret { return Array(dataPlatformSecret.utf8) }
        guard let file = dataPlatformSecretFile ?? credential else { return [] }
        return try SecretFile.read(file, flag: "--data-platform-secret-file", logger: logger)
    }
}
