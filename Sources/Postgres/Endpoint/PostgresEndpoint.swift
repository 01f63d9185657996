/// Where a PostgreSQL is and who connects: `postgresql://[user[:password]@][host[:port][,...]][/database][?option=value&...]`.
///
/// Several hosts are tried in their order. A host that begins with a slash, percent-encoded or as the option `host`, is the folder of a
/// unix socket. User, password, host and database are percent-decoded.
package struct PostgresEndpoint: Sendable, Hashable {
    package enum Host: Sendable, Hashable {
        case tcp(name: String, port: Int)
        /// The socket's name in the folder has the port's number.
        case unix(folder: String, port: Int)
    }

    /// Which servers are accepted (libpq's manual, `target_session_attrs`).
    package enum Role: String, Sendable, Hashable, CaseIterable {
        case any
        /// Sessions accept writes by default.
        case readWrite = "read-write"
        case readOnly = "read-only"
        /// The server is no standby.
        case primary
        case standby
        /// A standby of these hosts, and any of them where there is no standby.
        case preferStandby = "prefer-standby"
    }

    /// How the connection is encrypted, and what is checked (libpq's manual, `sslmode`). A unix socket is never encrypted.
    package enum Encryption: String, Sendable, Hashable, CaseIterable {
        case disable
        /// Only where the server refuses a connection without.
        case allow
        /// Where the server can, without any check: libpq's default.
        case prefer
        /// Always, without a check of the certificate unless a root certificate is given.
        case require
        /// The certificate is signed by the root certificate.
        case verifyCA = "verify-ca"
        /// The certificate is signed by the root certificate and is that host's.
        case verifyFull = "verify-full"
    }

    /// At least one.
    package var hosts: [Host]
    /// Nil for the name of the user that runs the process.
    package var user: String?
    /// Nil for what libpq finds in `PGPASSWORD` or in the file that the option `passfile` or `PGPASSFILE` names, by default `~/.pgpass`.
    package var password: String?
    /// Nil for the database that is named like the user.
    package var database: String?
    package var role = Role.any
    package var encryption = Encryption.prefer
    /// The path of the PEM file with the certificates that are trusted; nil for libpq's `~/.postgresql/root.crt`.
    package var rootCertificate: String?
    /// Other options of libpq, by its names.
    package var options: [String: String] = [:]

    /// The port where a URL names none (PostgreSQL's manual, "port").
    package static let defaultPort = 5432
    /// Where Debian's servers have their sockets: the place of a URL without a host.
    package static let defaultFolder = "/var/run/postgresql"

    package init(hosts: [Host], user: String? = nil, password: String? = nil, database: String? = nil) {
        precondition(!hosts.isEmpty, "an endpoint has a host")
        (self.hosts, self.user, self.password, self.database) = (hosts, user, password, database)
    }
}

extension PostgresEndpoint: CustomStringConvertible, CustomDebugStringConvertible {
    /// The URL with the password hidden.
    package var description: String {
        var text = "postgresql://"
        if user != nil || password != nil {
            text += PercentEncoding.encode(user ?? "") + (password == nil ? "" : ":***") + "@"
        }
        text += hosts.map(\.description).joined(separator: ",")
        if let database { text += "/" + PercentEncoding.encode(database) }
        var shown = options
        if encryption != .prefer { shown["sslmode"] = encryption.rawValue }
        if role != .any { shown["target_session_attrs"] = role.rawValue }
        shown["sslrootcert"] = rootCertificate
        let query = shown.sorted { $0.key < $1.key }.map { "\($0.key)=\(PercentEncoding.encode($0.value))" }.joined(separator: "&")
        return text + (query.isEmpty ? "" : (database == nil ? "/?" : "?") + query)
    }

    package var debugDescription: String { description }
}

extension PostgresEndpoint: CustomReflectable {
    /// Keeps `dump` and `String(reflecting:)` of an enclosing value from showing the password.
    package var customMirror: Mirror { Mirror(self, children: [("url", description)]) }
}

extension PostgresEndpoint.Host: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tcp(let name, let port):
            let host = name.contains(":") ? "[\(name)]" : PercentEncoding.encode(name)
            return port == PostgresEndpoint.defaultPort ? host : "\(host):\(port)"
        case .unix(let folder, let port):
            let host = PercentEncoding.encode(folder, alsoSlashes: true)
            return port == PostgresEndpoint.defaultPort ? host : "\(host):\(port)"
        }
    }
}

extension PostgresEndpoint.Host {
    /// The host as people read it in a message: a path without percent signs.
    package var place: String {
        switch self {
        case .tcp: description
        case .unix(let folder, PostgresEndpoint.defaultPort): folder
        case .unix(let folder, let port): "\(folder):\(port)"
        }
    }
}
