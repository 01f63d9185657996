import Foundation

/// Flags from environment variables: `FIRSTCOME_TIME_ZONE=Asia/Seoul` means `--time-zone Asia/Seoul`.
///
/// A flag on the command line takes precedence. The value of a variable is validated like that of its flag.
package enum EnvironmentFlags {
    static let prefix = "FIRSTCOME_"

    /// The flags with a value, by command. A test compares them with the commands' help.
    package static let values: [String: [String]] = [
        "serve": [
            "host", "port", "data", "store", "store-password-file", "redis", "time-zone", "data-platform", "data-platform-secret",
            "data-platform-timeout",
            "data-platform-tries", "ranking-refresh", "recovery-interval", "archive-after", "keep-events", "loops", "max-connections",
            "max-requests", "charge-min", "charge-max", "balance-limit", "order-hold", "drain-delay", "drain-timeout", "log-level",
            "access-log",
            "cors-origin", "tls-cert", "tls-key", "admin-listen",
            "redis-password-file", "data-platform-secret-file",
            "jwks", "jwks-refresh", "issuer", "audience", "user-claim", "role-claim", "user-role", "admin-role",
            "user-rate", "address-rate", "trusted-proxies", "limits-in", "shed-after",
        ],
        "token": ["data", "store", "store-password-file", "user", "subject", "ttl"],
        "key rotate": ["data", "store", "store-password-file", "keep"],
        "key list": ["data", "store", "store-password-file"],
        "demo": ["data", "store", "store-password-file", "time-zone", "url"],
        "audit": ["data", "store", "store-password-file", "redis", "redis-password-file", "time-zone"],
        "ranking show": ["data", "store", "store-password-file", "redis", "redis-password-file", "time-zone"],
        "ranking rebuild": ["data", "store", "store-password-file", "redis", "redis-password-file", "time-zone"],
        "backup": ["data", "store", "store-password-file"],
        "restore": ["data"],
        "compact": ["data"],
        "move": ["data", "store", "store-password-file", "time-zone"],
        "redis show": ["data", "store", "store-password-file", "redis", "redis-password-file"],
        "redis take": ["data", "store", "store-password-file", "redis", "redis-password-file", "from"],
    ]
    /// The flags without a value, by command.
    package static let switches: [String: [String]] = ["serve": ["no-local-tokens"], "token": ["admin"], "audit": ["json"]]

    /// Flags that exclude each other: one on the command line makes the variables of the others count for nothing.
    private static let alternatives: [Set<String>] = [["data-platform-secret", "data-platform-secret-file"]]

    /// Commands that need nothing else of a data folder than its store: for them `--store` and `--data` exclude each other.
    private static let needNoFolderBesideAStore: Set = ["token", "key rotate", "key list", "backup", "redis show", "redis take"]

    /// The environment variables of the process.
    package static var ofProcess: [String: String] { ProcessInfo.processInfo.environment }

    /// Appends the flags of the environment that the arguments do not contain.
    package static func merged(into given: [String], environment: [String: String]) -> [String] {
        let words = given.prefix { !$0.hasPrefix("-") }
        guard let command = [words.prefix(2), words.prefix(1)].map({ $0.joined(separator: " ") }).first(where: { values[$0] != nil }) else {
            return given
        }
        func isGiven(_ flag: String) -> Bool { given.contains { $0 == "--\(flag)" || $0.hasPrefix("--\(flag)=") } }
        var arguments = given
        var replaced = alternatives.filter { $0.contains(where: isGiven) }.reduce(into: Set()) { $0.formUnion($1) }
        // Where a store is named on the command line or by its variable, FIRSTCOME_DATA counts only if the folder has the private Redis. A
        // folder on the command line comes before FIRSTCOME_STORE.
        if values[command]?.contains("store") == true {
            func isSet(_ flag: String) -> Bool { isGiven(flag) || environment[variable(flag)] != nil }
            let isAlone = needNoFolderBesideAStore.contains(command)
            if isAlone, isGiven("data"), !isGiven("store") {
                replaced.formUnion(["store", "store-password-file"])
            } else if isSet("store"), isAlone || isSet("redis") {
                replaced.insert("data")
            }
        }
        for flag in values[command] ?? [] where !isGiven(flag) && !replaced.contains(flag) {
            if let value = environment[variable(flag)] { arguments.append("--\(flag)=\(value)") }
        }
        // `--user` and `--admin` exclude each other, so FIRSTCOME_ADMIN is ignored where a user is given.
        let choosesUser = command == "token" && arguments.contains { $0 == "--user" || $0.hasPrefix("--user=") }
        for flag in switches[command] ?? [] where !isGiven(flag) && !choosesUser {
            if ["1", "true", "yes"].contains(environment[variable(flag)]?.lowercased()) { arguments.append("--\(flag)") }
        }
        return arguments
    }

    static func variable(_ flag: String) -> String {
        prefix + flag.uppercased().replacingOccurrences(of: "-", with: "_")
    }
}
