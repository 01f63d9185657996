import Foundation
import Glibc
package import HTTPServer
import NIOCore

/// Where `serve` listens, as `--host` and `--port` say it.
package enum ListenAddress: Sendable, Equatable {
    case tcp(host: String, port: Int)
    case unixSocket(path: String)

    /// The default: the loopback address, so that only programs of this machine can connect.
    package static let standard = ListenAddress.tcp(host: standardHost, port: standardPort)
    package static let standardHost = "127.0.0.1"
    package static let standardPort = 8080
    static let unixPrefix = "unix:"
    /// The size of `sockaddr_un.sun_path` on Linux, without the final NUL.
    private static let longestSocketPath = 107

    /// - Parameter port: nil where `--port` is not given.
    package init(host: String, port: Int?) throws(CommandError) {
        guard host.hasPrefix(Self.unixPrefix) else {
            self = .tcp(host: host, port: port ?? Self.standardPort)
            return
        }
        let path = try Self.socketPath(host, flag: "--host")
        guard port == nil else { throw CommandError("--port has no meaning with --host unix:...; leave it out") }
        self = .unixSocket(path: path)
    }

    /// The path of `unix:/path`.
    static func socketPath(_ text: String, flag: String) throws(CommandError) -> String {
        let path = String(text.dropFirst(unixPrefix.count))
        guard path.hasPrefix("/") else { throw CommandError("\(flag) unix: takes an absolute path, such as unix:/run/firstcome/http.sock") }
        guard path.utf8.count <= longestSocketPath else {
            throw CommandError(
                "\(flag): the path of a unix socket has at most \(longestSocketPath) bytes, and this one has \(path.utf8.count)")
        }
        return path
    }

    package init(_ address: HTTPServerConfiguration.Address) {
        switch address {
        case .tcp(let host, let port): self = .tcp(host: host, port: port)
        case .unixSocket(let path): self = .unixSocket(path: path)
        }
    }

    package var configuration: HTTPServerConfiguration {
        switch self {
        case .tcp(let host, let port): HTTPServerConfiguration(host: host, port: port)
        case .unixSocket(let path): HTTPServerConfiguration(unixSocketPath: path)
        }
    }

    /// The address in words, for logs and messages.
    ///
    /// - Parameters:
    ///   - chosen: the port that the system has chosen for port 0.
    ///   - isSecure: whether clients connect by TLS.
    package func description(port chosen: Int?, isSecure: Bool = false) -> String {
        switch self {
        case .tcp(let host, let port): "\(isSecure ? "https" : "http")://\(host.contains(":") ? "[\(host)]" : host):\(chosen ?? port)"
        case .unixSocket(let path): Self.unixPrefix + path
        }
    }

    /// Throws where listening would fail, or would replace the socket file of a program that still listens on it. A socket file that no
    /// program listens on is no error, because the server replaces it.
    func check() throws(CommandError) {
        guard case .unixSocket(let path) = self else { return try checkPort() }
        var status = stat()
        guard lstat(path, &status) == 0 else {
            switch errno {
            case ENOENT: return try Self.checkFolder(of: path)
            case let code: throw CommandError("cannot listen on \(Self.unixPrefix)\(path): \(String(cString: strerror(code)))")
            }
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw CommandError("\(path) exists and is not a socket; it is not replaced, choose another --host")
        }
        switch Self.connectionError(path) {
        case ECONNREFUSED, ENOENT: return
        case 0, EAGAIN: throw CommandError("another program listens on \(path)")
        case let code:
            throw CommandError("\(path) exists, and it is unknown whether a program listens on it: \(String(cString: strerror(code)))")
        }
    }

    private static func checkFolder(of path: String) throws(CommandError) {
        let folder = parentFolder(of: path)
        var status = stat()
        guard stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw CommandError("the folder \(folder) of the socket does not exist; make it, or choose another --host")
        }
        guard access(folder, W_OK | X_OK) == 0 else {
            throw CommandError("cannot listen on \(unixPrefix)\(path): the account \(Account.current) may not write in \(folder)")
        }
    }

    /// The `errno` of connecting to the socket; 0 where a program listens on it.
    private static func connectionError(_ path: String) -> CInt {
        // Does not block: a listener with a full backlog answers EAGAIN (connect(2)).
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        return result == 0 ? 0 : errno
    }

    /// Allows the group of the socket file to connect. The process' umask makes the file for its own account only.
    ///
    /// In a folder with the setgid bit the file has the folder's group, so a proxy under another account can connect as its member.
    func admitGroup() throws(CommandError) {
        guard case .unixSocket(let path) = self else { return }
        guard chmod(path, 0o660) == 0 else {
            throw CommandError("the mode of \(path) cannot be set: \(String(cString: strerror(errno)))")
        }
    }

    /// The one-line form of a system error about listening; any other error unchanged.
    func describing(_ error: any Error) -> any Error {
        (error as? IOError).map { failure($0.errnoCode) } ?? error
    }
}
