extension PostgresEndpoint {
    /// - Parameter password: a password that is not in the URL, such as one from a file.
    /// - Throws: `.misconfigured`, with a message that never repeats a value of the URL, since it may be a password.
    package init(url: String, password: String? = nil) throws(PostgresError) {
        guard let scheme = ["postgresql://", "postgres://"].first(where: { url.lowercased().hasPrefix($0) }) else {
            throw Self.malformed("a PostgreSQL URL starts with postgresql://")
        }
        let rest = url.dropFirst(scheme.count)
        guard !rest.contains("#") else { throw Self.malformed("a # in a PostgreSQL URL is written as %23") }
        let (location, query) = Self.split(rest, at: "?")
        let (authority, path) = Self.split(location, at: "/")
        let (credentials, places) =
            if let at = authority.lastIndex(of: "@") {
                (authority[..<at], authority[authority.index(after: at)...])
            } else {
                (authority[..<authority.startIndex], authority)
            }
        var fields = try Self.fields(of: query ?? "")
        let (user, secret) = Self.split(credentials, at: ":")
        if !user.isEmpty { try Self.set("user", Self.decoded(user, "user"), in: &fields) }
        if let secret, !secret.isEmpty { try Self.set("password", Self.decoded(secret, "password"), in: &fields) }
        if let path, !path.isEmpty { try Self.set("dbname", Self.decoded(path, "database"), in: &fields) }
        let hosts = try Self.hosts(places, &fields)
        self.init(hosts: hosts, user: fields.removeValue(forKey: "user"), database: fields.removeValue(forKey: "dbname"))
        let ownPassword = fields.removeValue(forKey: "password")
        guard ownPassword == nil || password == nil else {
            throw Self.malformed("the PostgreSQL URL holds a password, and another one is given beside it; leave one of them out")
        }
        self.password = password ?? ownPassword
        try apply(fields)
    }

    private static func malformed(_ message: String) -> PostgresError { PostgresError(.misconfigured, .notSent, message) }

    /// The text before the first separator, and what follows it; nil where there is none.
    private static func split(_ text: Substring, at separator: Character) -> (Substring, Substring?) {
        guard let index = text.firstIndex(of: separator) else { return (text, nil) }
        return (text[..<index], text[text.index(after: index)...])
    }

    private static func decoded(_ text: Substring, _ part: String) throws(PostgresError) -> String {
        guard let value = PercentEncoding.decode(text) else {
            throw malformed("the \(part) of the PostgreSQL URL has a % without two hexadecimal digits, or is no UTF-8")
        }
        return value
    }

    private static func set(_ name: String, _ value: String, in fields: inout [String: String]) throws(PostgresError) {
        guard fields.updateValue(value, forKey: name) == nil else { throw malformed("the PostgreSQL URL gives \(name) twice") }
    }

    private static func fields(of query: Substring) throws(PostgresError) -> [String: String] {
        var fields: [String: String] = [:]
        for option in query.split(separator: "&") {
            let (name, value) = split(option, at: "=")
            guard let value, !value.isEmpty, name.allSatisfy({ $0.isASCII && ($0.isLowercase || $0 == "_") }) else {
                throw malformed("an option of the PostgreSQL URL is written as name=value")
            }
            try set(String(name), try decoded(value, "option \(name)"), in: &fields)
        }
        return fields
    }
}

// MARK: - Hosts

extension PostgresEndpoint {
    private static func hosts(_ places: Substring, _ fields: inout [String: String]) throws(PostgresError) -> [Host] {
        let (names, numbers) = (fields.removeValue(forKey: "host"), fields.removeValue(forKey: "port"))
        guard places.isEmpty else {
            guard names == nil, numbers == nil else { throw malformed("the PostgreSQL URL gives hosts twice") }
            var hosts: [Host] = []
            for place in places.split(separator: ",", omittingEmptySubsequences: false) { hosts.append(try host(at: place)) }
            return hosts
        }
        let hosts = (names ?? defaultFolder).split(separator: ",", omittingEmptySubsequences: false)
        let ports = (numbers ?? String(defaultPort)).split(separator: ",", omittingEmptySubsequences: false)
        guard ports.count == 1 || ports.count == hosts.count else {
            throw malformed("the PostgreSQL URL has one port for all hosts, or one for each")
        }
        var all: [Host] = []
        for (index, name) in hosts.enumerated() {
            all.append(try host(named: String(name), port: try port(ports[ports.count == 1 ? 0 : index])))
        }
        return all
    }

    private static func host(at place: Substring) throws(PostgresError) -> Host {
        var (name, number) = split(place, at: ":")
        if place.hasPrefix("[") {
            guard let end = place.firstIndex(of: "]") else { throw malformed("an IPv6 address in a PostgreSQL URL is written as [::1]") }
            name = place[place.index(after: place.startIndex)..<end]
            let tail = place[place.index(after: end)...]
            guard tail.isEmpty || tail.hasPrefix(":") else { throw malformed("an IPv6 address in a PostgreSQL URL is written as [::1]") }
            number = tail.isEmpty ? nil : tail.dropFirst()
        }
        return try host(
            named: try decoded(name, "host"), port: try number.map { (text) throws(PostgresError) in try port(text) } ?? defaultPort)
    }

    private static func host(named name: String, port: Int) throws(PostgresError) -> Host {
        guard !name.isEmpty, !name.contains(where: \.isWhitespace), !name.contains("@") else {
            throw malformed("the PostgreSQL URL has an empty host, or one with a space or an @")
        }
        return name.hasPrefix("/") ? .unix(folder: name, port: port) : .tcp(name: name, port: port)
    }

    private static func port(_ text: Substring) throws(PostgresError) -> Int {
        guard text.allSatisfy({ $0.isASCII && $0.isNumber }), let port = Int(text), (1...65535).contains(port) else {
            throw malformed("the port of a PostgreSQL URL is a number from 1 to 65535")
        }
        return port
    }
}

// MARK: - Options

extension PostgresEndpoint {
    /// The options of libpq that are passed on as they are.
    private static let textOptions: Set = [
        "application_name", "channel_binding", "gssencmode", "krbsrvname", "options", "passfile", "sslcert", "sslcrl", "sslcrldir",
        "sslkey",
        "ssl_min_protocol_version", "ssl_max_protocol_version", "sslsni",
    ]
    private static let numberOptions: Set = [
        "connect_timeout", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "tcp_user_timeout",
    ]

    private mutating func apply(_ fields: [String: String]) throws(PostgresError) {
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
            switch name {
            case "sslmode": encryption = try Self.choice(value, of: name)
            case "target_session_attrs": role = try Self.choice(value, of: name)
            case "sslrootcert": rootCertificate = value
            case _ where Self.textOptions.contains(name): options[name] = value
            case _ where Self.numberOptions.contains(name):
                guard Int32(value) != nil else { throw Self.malformed("the option \(name) of the PostgreSQL URL is a number") }
                options[name] = value
            default: throw Self.malformed("the PostgreSQL URL has the option \(name), which is not known here")
            }
        }
        let checks = encryption == .verifyCA || encryption == .verifyFull
        guard rootCertificate == nil || checks || encryption == .require else {
            throw Self.malformed("sslrootcert is used with sslmode=verify-full, verify-ca or require alone")
        }
    }

    private static func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ value: String, of name: String
    ) throws(PostgresError) -> Choice {
        guard let choice = Choice(rawValue: value) else {
            let choices = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw malformed("the option \(name) of the PostgreSQL URL is one of: \(choices)")
        }
        return choice
    }
}
