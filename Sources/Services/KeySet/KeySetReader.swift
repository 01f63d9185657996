import AsyncHTTPClient
import Glibc
package import NIOCore
import NIOHTTP1
import NIOPosix

/// Reads the document at a ``KeySetSource``.
package struct KeySetReader: Sendable {
    package let source: KeySetSource
    /// Nil for a file.
    private let client: HTTPClient?

    /// Bytes of the longest document; those of usual providers have 1,000 to 10,000.
    static let longest = 256 * 1024
    /// How long the whole exchange with a server may take.
    static let timeout: TimeAmount = .seconds(10)

    package init(_ source: KeySetSource, on group: any EventLoopGroup) {
        self.source = source
        guard case .address = source.place else {
            client = nil
            return
        }
        // Redirects are not followed: a key set from elsewhere would decide who is let in.
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow, timeout: .init(connect: .seconds(3), read: .seconds(5), write: .seconds(5)))
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1
        // Readings are minutes apart.
        configuration.connectionPool.idleTimeout = .seconds(1)
        configuration.httpVersion = .http1Only
        client = HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
    }

    /// Ends the connections. Call it once, when nothing reads any more.
    package func close() async {
        // Fails only where it is closed already.
        try? await client?.shutdown()
    }

    package func read() async throws(KeySetError) -> ByteBuffer {
        switch source.place {
        case .file(let path): try Self.read(file: path)
        case .address(let url): try await read(url)
        }
    }

    private func read(_ url: String) async throws(KeySetError) -> ByteBuffer {
        guard let client else { throw KeySetError(code: .unreachable, "has no client") }
        var request = HTTPClientRequest(url: url)
        request.headers.add(name: "Accept", value: "application/jwk-set+json, application/json")
        request.headers.add(name: "User-Agent", value: "firstcome")
        do {
            let response = try await client.execute(request, timeout: Self.timeout)
            switch response.status.code {
            case 200: return try await response.body.collect(upTo: Self.longest)
            case 300..<400: throw KeySetError(code: .unreachable, "answers \(response.status.code); redirects are not followed")
            default: throw KeySetError(code: .unreachable, "answers \(response.status.code)")
            }
        } catch {
            throw Self.failure(error)
        }
    }

    private static func failure(_ error: any Error) -> KeySetError {
        switch error {
        case let error as KeySetError: error
        case is NIOTooManyBytesError: KeySetError(code: .malformed, "has more than \(longest) bytes")
        case let error as HTTPClientError
        where [.connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout, .readTimeout, .writeTimeout, .deadlineExceeded]
            .contains(error):
            KeySetError(code: .unreachable, "does not answer in time")
        case let error as NIOConnectionError:
            KeySetError(code: .unreachable, "cannot be reached: no connection to \(error.host):\(error.port)")
        case let error as IOError:
            KeySetError(code: .unreachable, "cannot be reached: \(String(cString: strerror(error.errnoCode)))")
        default: KeySetError(code: .unreachable, "cannot be read: \(error)")
        }
    }

    /// Reads a file, which must not be writable for every account of the machine: whoever writes the keys decides who is let in.
    private static func read(file path: String) throws(KeySetError) -> ByteBuffer {
        func systemError(_ what: String) -> KeySetError {
            KeySetError(code: .unreachable, "\(what): \(String(cString: strerror(errno)))")
        }
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw systemError("cannot be opened") }
        defer { Glibc.close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw systemError("cannot be examined") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw KeySetError(code: .malformed, "is not a file") }
        guard status.st_mode & 0o002 == 0 else {
            throw KeySetError(code: .exposed, "can be written by every account of this machine; its mode must not allow that")
        }
        guard status.st_size <= longest else { throw KeySetError(code: .malformed, "has more than \(longest) bytes") }
        var bytes = [UInt8](repeating: 0, count: longest + 1)
        var count = 0
        while count <= longest {
            let read = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress?.advanced(by: count), $0.count - count, off_t(count)) }
            guard read >= 0 else { throw systemError("cannot be read") }
            if read == 0 { return ByteBuffer(bytes: bytes[..<count]) }
            count += read
        }
        throw KeySetError(code: .malformed, "has more than \(longest) bytes")
    }
}
