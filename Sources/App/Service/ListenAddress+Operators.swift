package import HTTPServer

/// The address of a second listener, and what sets it apart from the first one.
extension ListenAddress {
    /// Reads `HOST:PORT`, `[ADDRESS]:PORT` or `unix:/path`.
    ///
    /// - Parameter flag: names the option in errors.
    package init(_ text: String, flag: String) throws(CommandError) {
        guard !text.hasPrefix(Self.unixPrefix) else {
            self = .unixSocket(path: try Self.socketPath(text, flag: flag))
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port) else {
            throw CommandError("\(flag) \(text): it takes HOST:PORT or unix:/path, such as 127.0.0.1:9090")
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw CommandError("\(flag) \(text): an IPv6 address is written in brackets, such as [::1]:9090")
        }
        guard !host.isEmpty else { throw CommandError("\(flag) \(text): the host is missing; 0.0.0.0 means every address of the machine") }
        self = .tcp(host: String(host), port: port)
    }

    /// Whether only programs of this machine can connect.
    var isLocal: Bool {
        switch self {
        case .unixSocket: true
        case .tcp(let host, _): host == "localhost" || host == "::1" || host.hasPrefix("127.")
        }
    }

    /// The bounds of the listener for operators: few connections, so that they fit beside those of clients, and a few descriptors that
    /// clients' connections leave free.
    package var operatorsConfiguration: HTTPServerConfiguration {
        var configuration = self.configuration
        configuration.backlog = 128
        configuration.maximumConnections = 64
        configuration.maximumRefusals = 8
        configuration.maximumRequestsInFlight = 64
        configuration.descriptorsKeptFree = 16
        return configuration
    }
}
