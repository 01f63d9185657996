extension RedisEndpoint {
    static let unknownScheme = RedisError(
        .misconfigured, "a Redis URL starts with redis:// or rediss://, also with +cluster or +sentinel before the colon, or with unix://")

    static func unix(_ rest: Substring, _ password: String?) throws(RedisError) -> RedisEndpoint {
        let (credentials, location) = try splitCredentials(rest, password)
        let parts = location.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = try percentDecoded(parts[0])
        guard path.hasPrefix("/") else {
            throw RedisError(.misconfigured, "a unix:// URL holds an absolute path: unix:///path/to/socket")
        }
        var number = 0
        for option in parts.dropFirst().first?.split(separator: "&") ?? [] {
            guard option.hasPrefix("db=") else {
                throw RedisError(.misconfigured, "a unix:// URL takes only the option db")
            }
            number = try database(option.dropFirst(3))
        }
        return RedisEndpoint(address: .unix(path: path), user: credentials.user, password: credentials.password, database: number)
    }

    static func tcp(_ rest: Substring, usesTLS: Bool, _ password: String?) throws(RedisError) -> RedisEndpoint {
        let (credentials, location) = try splitCredentials(rest, password)
        let parts = location.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let number = parts.count > 1 && !parts[1].isEmpty ? try database(parts[1]) : 0
        let node = try address(parts[0], defaultPort: defaultPort)
        return RedisEndpoint(
            address: .tcp(host: node.host, port: node.port),
            usesTLS: usesTLS,
            user: credentials.user,
            password: credentials.password,
            database: number
        )
    }

    static func cluster(_ rest: Substring, usesTLS: Bool, _ password: String?) throws(RedisError) -> RedisEndpoint {
        let (credentials, location) = try splitCredentials(rest, password)
        let parts = location.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let number = parts.count > 1 && !parts[1].isEmpty ? try database(parts[1]) : 0
        guard number == 0 else {
            throw RedisError(.misconfigured, "a Redis cluster has only the database 0")
        }
        return RedisEndpoint(
            address: .cluster(seeds: try addresses(parts[0], defaultPort: defaultPort)), usesTLS: usesTLS, user: credentials.user,
            password: credentials.password)
    }

    static func sentinel(_ rest: Substring, usesTLS: Bool, _ password: String?) throws(RedisError) -> RedisEndpoint {
        let (credentials, location) = try splitCredentials(rest, password)
        let parts = location.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count > 1, !parts[1].isEmpty else {
            throw RedisError(.misconfigured, "a URL with +sentinel names the primary after the Sentinels: redis+sentinel://host:port/name")
        }
        return RedisEndpoint(
            address: .sentinel(try addresses(parts[0], defaultPort: defaultSentinelPort), primary: try percentDecoded(parts[1])),
            usesTLS: usesTLS, user: credentials.user, password: credentials.password,
            database: parts.count > 2 && !parts[2].isEmpty ? try database(parts[2]) : 0)
    }

    private static func splitCredentials(
        _ rest: Substring, _ given: String?
    ) throws(RedisError) -> ((user: String?, password: String?), Substring) {
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard let at = authority.lastIndex(of: "@") else { return ((nil, given), rest) }
        let words = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let user = try percentDecoded(words[0])
        let password = words.count == 2 && !words[1].isEmpty ? try percentDecoded(words[1]) : nil
        guard given == nil || password == nil else {
            throw RedisError(.misconfigured, "the Redis URL holds a password, and another one is given beside it; leave one of them out")
        }
        guard let password = given ?? password else {
            throw RedisError(.misconfigured, "a Redis URL with an @ holds user:password or :password before it")
        }
        return ((user.isEmpty ? nil : user, password), rest[rest.index(after: at)...])
    }

    private static func addresses(_ text: Substring, defaultPort: Int) throws(RedisError) -> [RedisNodeAddress] {
        var nodes: [RedisNodeAddress] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            nodes.append(try address(part, defaultPort: defaultPort))
        }
        return nodes
    }

    private static func address(_ text: Substring, defaultPort: Int) throws(RedisError) -> RedisNodeAddress {
        let host: Substring
        let tail: Substring
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            tail = text[text.index(after: end)...]
        } else {
            host = text.prefix { $0 != ":" }
            tail = text[host.endIndex...]
        }
        guard !host.isEmpty else { throw RedisError(.misconfigured, "a Redis URL names a host") }
        if tail.isEmpty { return RedisNodeAddress(host: String(host), port: defaultPort) }
        guard tail.hasPrefix(":"), let port = Int(tail.dropFirst()), (1...65535).contains(port) else {
            throw RedisError(.misconfigured, "the port of a Redis URL is a number from 1 to 65535")
        }
        return RedisNodeAddress(host: String(host), port: port)
    }

    private static func database(_ text: Substring) throws(RedisError) -> Int {
        guard let number = Int(text), number >= 0 else {
            throw RedisError(.misconfigured, "the database of a Redis URL is a number from 0")
        }
        return number
    }

    private static func percentDecoded(_ text: Substring) throws(RedisError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                throw RedisError(.misconfigured, "a % in a Redis URL is followed by two hexadecimal digits")
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
