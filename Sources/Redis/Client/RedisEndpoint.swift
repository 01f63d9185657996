/// Where a Redis is: `redis://[user:password@]host[:port][/db]`, the same with `rediss` for TLS, or `unix:///path[?db=N]`.
///
/// Users and passwords are percent-decoded; `redis://:password@host` means the server's default user.
package struct RedisEndpoint: Sendable, Hashable {
    package enum Address: Sendable, Hashable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    package let address: Address
    package let usesTLS: Bool
    /// Nil for the server's default user.
    package let user: String?
    package let password: String?
    /// The database number that `SELECT` takes.
    package let database: Int

    /// The port where a URL names none (redis.io, "Redis configuration").
    package static let defaultPort = 6379

    private init(address: Address, usesTLS: Bool = false, user: String? = nil, password: String? = nil, database: Int = 0) {
        self.address = address
        self.usesTLS = usesTLS
        self.user = user
        self.password = password
        self.database = database
    }

    /// A server on a unix socket, without a password.
    package static func unix(path: String, database: Int = 0) -> RedisEndpoint {
        RedisEndpoint(address: .unix(path: path), database: database)
    }

    /// A server on TCP, without TLS.
    package static func tcp(host: String, port: Int = defaultPort, user: String? = nil, password: String? = nil, database: Int = 0)
        -> RedisEndpoint
    {
        RedisEndpoint(address: .tcp(host: host, port: port), user: user, password: password, database: database)
    }

    /// - Parameter password: a password that is not in the URL; the URL may then be `redis://user@host`.
    /// - Throws: `.misconfigured`, with a message that never repeats the URL, since it may hold a password.
    package init(url: String, password: String? = nil) throws(RedisError) {
        guard let separator = url.range(of: "://") else {
            throw RedisError(.misconfigured, "a Redis URL starts with redis://, rediss:// or unix://")
        }
        let rest = url[separator.upperBound...]
        switch url[..<separator.lowerBound].lowercased() {
        case "redis": self = try Self.tcp(rest, usesTLS: false, password)
        case "rediss": self = try Self.tcp(rest, usesTLS: true, password)
        case "unix": self = try Self.unix(rest, password)
        default: throw RedisError(.misconfigured, "a Redis URL starts with redis://, rediss:// or unix://")
        }
    }

    private static func unix(_ rest: Substring, _ password: String?) throws(RedisError) -> RedisEndpoint {
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

    private static func tcp(_ rest: Substring, usesTLS: Bool, _ password: String?) throws(RedisError) -> RedisEndpoint {
        let (credentials, location) = try splitCredentials(rest, password)
        let parts = location.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let number = parts.count > 1 && !parts[1].isEmpty ? try database(parts[1]) : 0
        let (host, port) = try hostAndPort(parts[0])
        return RedisEndpoint(
            address: .tcp(host: host, port: port),
            usesTLS: usesTLS,
            user: credentials.user,
            password: credentials.password,
            database: number
        )
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

    private static func hostAndPort(_ text: Substring) throws(RedisError) -> (String, Int) {
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
        if tail.isEmpty { return (String(host), defaultPort) }
        guard tail.hasPrefix(":"), let port = Int(tail.dropFirst()), (1...65535).contains(port) else {
            throw RedisError(.misconfigured, "the port of a Redis URL is a number from 1 to 65535")
        }
        return (String(host), port)
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

extension RedisEndpoint: CustomStringConvertible, CustomDebugStringConvertible {
    /// The URL with the password hidden.
    package var description: String {
        let credentials = password == nil ? "" : "\(user ?? ""):***@"
        switch address {
        case .unix(let path):
            return "unix://\(credentials)\(path)" + (database == 0 ? "" : "?db=\(database)")
        case .tcp(let host, let port):
            let host = host.contains(":") ? "[\(host)]" : host
            return "\(usesTLS ? "rediss" : "redis")://\(credentials)\(host):\(port)/\(database)"
        }
    }

    package var debugDescription: String { description }
}

extension RedisEndpoint: CustomReflectable {
    /// Keeps `dump` and `String(reflecting:)` of an enclosing value from showing the password.
    package var customMirror: Mirror { Mirror(self, children: [("url", description)]) }
}

extension String {
    fileprivate func range(of separator: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(separator) { return start..<index(start, offsetBy: separator.count) }
            start = index(after: start)
        }
        return nil
    }
}
