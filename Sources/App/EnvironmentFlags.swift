import Foundation

/// Flags given by environment variables: `FIRSTCOME_TIME_ZONE=Asia/Seoul` stands for `--time-zone Asia/Seoul`.
///
/// A flag on the command line wins. What a variable says is parsed and refused like the flag that it stands for.
package enum EnvironmentFlags {
    static let prefix = "FIRSTCOME_"

    /// The flags of each command that take a value, and those that are switches. A test holds them against the commands' help.
    package static let values: [String: [String]] = [
        "serve": [
            "host", "port", "data", "redis", "time-zone", "data-platform", "data-platform-secret", "data-platform-timeout",
            "data-platform-tries", "ranking-refresh", "recovery-interval", "archive-after", "keep-events", "loops", "max-connections",
            "max-requests", "charge-min", "charge-max", "balance-limit", "order-hold", "drain-delay", "drain-timeout", "log-level",
        ],
        "token": ["data", "user", "ttl"],
        "demo": ["data", "time-zone", "url"],
        "audit": ["data", "redis", "time-zone"],
        "ranking show": ["data", "redis", "time-zone"],
        "ranking rebuild": ["data", "redis", "time-zone"],
        "backup": ["data"],
        "restore": ["data"],
        "compact": ["data"],
        "redis show": ["data", "redis"],
        "redis take": ["data", "redis", "from"],
    ]
    package static let switches: [String: [String]] = ["token": ["admin"], "audit": ["json"]]

    package static var ofProcess: [String: String] { ProcessInfo.processInfo.environment }

    /// The arguments with the flags of the environment added behind those that were given.
    package static func merged(into given: [String], environment: [String: String]) -> [String] {
        let words = given.prefix { !$0.hasPrefix("-") }
        guard let command = [words.prefix(2), words.prefix(1)].map({ $0.joined(separator: " ") }).first(where: { values[$0] != nil }) else {
            return given
        }
        func isGiven(_ flag: String) -> Bool { given.contains { $0 == "--\(flag)" || $0.hasPrefix("--\(flag)=") } }
        var arguments = given
        for flag in values[command] ?? [] where !isGiven(flag) {
            if let value = environment[variable(flag)] { arguments.append("--\(flag)=\(value)") }
        }
        // Who a token is for is one choice: a variable must not contradict a flag.
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
