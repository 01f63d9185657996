package import NIOCore

/// Where the server listens, and its bounds. The bounds are members of this type as well.
@dynamicMemberLookup
package struct HTTPServerConfiguration: Sendable {
    /// Where a server listens.
    package enum Address: Sendable, Equatable {
        /// A TCP host and port; port 0 lets the system choose.
        case tcp(host: String, port: Int)
        /// A unix socket at this path; a stale socket file there is replaced.
        case unixSocket(path: String)
    }

    /// Where the server listens.
    package var address: Address
    /// Connections that the kernel holds until the process accepts them.
    package var backlog: Int = 1024
    /// Every bound.
    package var limits = HTTPLimits()
    /// The origins whose web pages may call the server; nil for none, and then no answer has a field about it.
    package var crossOrigin: CrossOriginPolicy?
    /// Descriptors below the limit of open files that connections leave free.
    package var descriptorsKeptFree = 32
    /// Which requests may have bodies beyond ``HTTPLimits/maximumBodyBytes``; nil for none. Never asked about other requests.
    package var largeBodies: LargeBodyGate?
    /// The certificate that clients connect with by TLS; nil for plain HTTP.
    package var certificate: ServerCertificate?
    /// Prepares each accepted channel before the HTTP handler is added to it. An error closes the connection.
    package var configureChannel: (@Sendable (any Channel) throws -> Void)?

    /// Where requests are logged, one line each; nil for nowhere. It has the same event loops as the server.
    package var accessLog: AccessLog?

    /// Listens on a TCP host and port; port 0 lets the system choose.
    package init(host: String = "127.0.0.1", port: Int = 0) {
        address = .tcp(host: host, port: port)
    }

    /// Listens on a unix socket at this path.
    package init(unixSocketPath: String) {
        address = .unixSocket(path: unixSocketPath)
    }

    /// One of the bounds.
    package subscript<Value>(dynamicMember limit: WritableKeyPath<HTTPLimits, Value>) -> Value {
        get { limits[keyPath: limit] }
        set { limits[keyPath: limit] = newValue }
    }
}
