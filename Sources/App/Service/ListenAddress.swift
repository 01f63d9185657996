import Foundation
import Glibc
package import HTTPServer
import NIOCore

/// Where `serve` listens, as `--host` and `--port` say it.
package enum ListenAddress: Sendable, Equatable {
    case tcp(host: String, port: Int)
    case unixSocket(path: String)

    /// Where it listens if nothing is said: on the loopback address alone.
    package static let standard = ListenAddress.tcp(host: standardHost, port: standardPort)
    package static let standardHost = "127.0.0.1"
    package static let standardPort = 8080
    private static let unixPrefix = "unix:"
    /// `sockaddr_un.sun_path` on Linux, less its final NUL.
    private static let longestSocketPath = 107

    /// - Parameter port: nil where none is given.
    package init(host: String, port: Int?) throws(CommandError) {
        guard host.hasPrefix(Self.unixPrefix) else {
            self = .tcp(host: host, port: port ?? Self.standardPort)
            return
        }
        let path = String(host.dropFirst(Self.unixPrefix.count))
        guard path.hasPrefix("/") else { throw CommandError("--host unix: takes an absolute path, such as unix:/run/firstcome/http.sock") }
        guard path.utf8.count <= Self.longestSocketPath else {
            throw CommandError(
                "--host: the path of a unix socket has at most \(Self.longestSocketPath) bytes, and this one has \(path.utf8.count)")
        }
        guard port == nil else { throw CommandError("--port has no meaning with --host unix:..., leave it out") }
        self = .unixSocket(path: path)
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

    /// The address for people; `port` is the one that the system chose for port 0.
    package func description(port chosen: Int?) -> String {
        switch self {
        case .tcp(let host, let port): "http://\(host.contains(":") ? "[\(host)]" : host):\(chosen ?? port)"
        case .unixSocket(let path): Self.unixPrefix + path
        }
    }

    /// Throws where listening would fail, or would take a socket from a program that still listens on it. A socket file that nobody
    /// listens on is left for the server to replace.
    func check() throws(CommandError) {
        guard case .unixSocket(let path) = self else { return }
        var status = stat()
        guard lstat(path, &status) == 0 else {
            switch errno {
            case ENOENT: return try Self.checkFolder(of: path)
            case let code: throw CommandError("cannot listen on \(Self.unixPrefix)\(path): \(String(cString: strerror(code)))")
            }
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw CommandError("\(path) exists and is not a socket; it is left as it is") }
        switch Self.connectionError(path) {
        case ECONNREFUSED, ENOENT: return
        case 0, EAGAIN: throw CommandError("another program listens on \(path)")
        case let code:
            throw CommandError("\(path) exists, and whether somebody listens on it is unknown: \(String(cString: strerror(code)))")
        }
    }

    private static func checkFolder(of path: String) throws(CommandError) {
        let folder = (path as NSString).deletingLastPathComponent
        var status = stat()
        guard stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw CommandError("the folder \(folder) of the socket does not exist")
        }
    }

    /// The error of connecting to the socket, 0 where somebody listens.
    private static func connectionError(_ path: String) -> CInt {
        // Without waiting: a listener whose backlog is full is one, too (EAGAIN, connect(2)).
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

    /// Lets the group of the socket file connect; the account itself may anyway.
    ///
    /// The socket is made with the process' umask, for its account alone. In a folder with the setgid bit it has the folder's group,
    /// which is how a proxy under another account is let in.
    func admitGroup() throws(CommandError) {
        guard case .unixSocket(let path) = self else { return }
        guard chmod(path, 0o660) == 0 else {
            throw CommandError("the mode of \(path) cannot be set: \(String(cString: strerror(errno)))")
        }
    }

    /// What the system has said against listening, in one line; any other error as it is.
    func describing(_ error: any Error) -> any Error {
        guard let error = error as? IOError else { return error }
        guard error.errnoCode != EADDRINUSE else { return CommandError("\(description(port: nil)) is in use by another program") }
        return CommandError("cannot listen on \(description(port: nil)): \(String(cString: strerror(error.errnoCode)))")
    }
}
