import Foundation
package import Logging
import NIOCore
import NIOSSL
import NIOTLS
import Synchronization

/// The certificate of a server and its key, read from files that can be read again.
package final class ServerCertificate: Sendable {
    /// Where the certificate with its chain and its key are, both in PEM.
    package struct Files: Sendable, Equatable {
        package let certificate: String
        package let key: String

        package init(certificate: String, key: String) {
            (self.certificate, self.key) = (certificate, key)
        }
    }

    /// Why the files cannot be used, in one line.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    private let files: Files
    /// What new connections use. Connections keep what they began with.
    private let current: Mutex<Loaded>
    private let handshakeFailures = Atomic(0)

    private struct Loaded {
        let context: NIOSSLContext
        let leaf: NIOSSLCertificate
    }

    /// How long a closed connection waits for the client to confirm it.
    private static let shutdownTimeout = HTTPLimits().lingerTimeout

    /// Reads the files. A certificate that is not valid now is used with a warning: the service can start, and reread a new one later.
    ///
    /// - Throws: ``Failure`` where no connection could be made with them.
    package init(_ files: Files, logger: Logger) throws {
        self.files = files
        let loaded = try Self.load(files)
        current = Mutex(loaded)
        if let fault = Self.faultOfTime(loaded.leaf, files, at: Date()) { logger.warning("\(fault)") }
    }

    /// Reads the files again. New connections use the new certificate.
    ///
    /// - Throws: ``Failure`` where it cannot be used, or is not valid now; the former one stays in use.
    package func reload() throws {
        let loaded = try Self.load(files)
        if let fault = Self.faultOfTime(loaded.leaf, files, at: Date()) { throw Failure(description: fault) }
        current.withLock { $0 = loaded }
    }

    /// When the certificate in use ends, in seconds since 1970.
    package var expiresAt: Int { Int(current.withLock { $0.leaf }.notValidAfter) }

    /// Connections that ended before both sides had agreed on a key: other protocols, clients that do not trust the certificate, those that
    /// hung up.
    package var failedHandshakes: Int { handshakeFailures.load(ordering: .relaxed) }

    fileprivate func countFailedHandshake() { handshakeFailures.add(1, ordering: .relaxed) }

    /// Has a connection that was just accepted use TLS.
    func secure(_ channel: any Channel) throws {
        let handler = NIOSSLServerHandler(context: current.withLock { $0.context })
        try channel.pipeline.syncOperations.addHandlers(handler, TLSEndFilter(self))
    }
}

// MARK: - Reading

extension ServerCertificate {
    private static func load(_ files: Files) throws(Failure) -> Loaded {
        let chainBytes = try bytes(of: files.certificate, "certificate")
        let keyBytes = try bytes(of: files.key, "private key")
        guard let chain = try? NIOSSLCertificate.fromPEMBytes(chainBytes), let leaf = chain.first else {
            throw Failure(description: "\(files.certificate) holds no certificate in PEM form")
        }
        guard let key = try? NIOSSLPrivateKey(bytes: keyBytes, format: .pem) else {
            throw Failure(description: "\(files.key) holds no private key in PEM form, or one that is encrypted")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        configuration.shutdownTimeout = shutdownTimeout
        do {
            return Loaded(context: try NIOSSLContext(configuration: configuration), leaf: leaf)
        } catch {
            throw Failure(description: "the key \(files.key) does not belong to the certificate \(files.certificate)")
        }
    }

    private static func bytes(of path: String, _ content: String) throws(Failure) -> [UInt8] {
        func failure() -> Failure { Failure(description: "the \(content) \(path) cannot be read: \(String(cString: strerror(errno)))") }
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure() }
        defer { close(file) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 16_384)
        while case let count = read(file, &part, part.count), count != 0 {
            guard count > 0 else { throw failure() }
            bytes += part[..<count]
        }
        return bytes
    }

    private static func faultOfTime(_ certificate: NIOSSLCertificate, _ files: Files, at now: Date) -> String? {
        let (start, end) = (certificate.notValidBefore, certificate.notValidAfter)
        let seconds = Int(now.timeIntervalSince1970)
        if seconds > end { return "the certificate \(files.certificate) has expired on \(text(end))" }
        if seconds < start { return "the certificate \(files.certificate) is not valid before \(text(start))" }
        return nil
    }

    private static func text(_ time: time_t) -> String { Date(timeIntervalSince1970: TimeInterval(time)).ISO8601Format() }
}

/// Takes a TCP connection that ends without the end of TLS as the end of the client's requests, as without TLS. Counts the connections on
/// which TLS never began.
///
/// Nothing can be cut off unnoticed: the framing of HTTP says where a request ends, and an incomplete one is refused.
private final class TLSEndFilter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let certificate: ServerCertificate
    private var hasBegun = false

    init(_ certificate: ServerCertificate) { self.certificate = certificate }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent { hasBegun = true }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !hasBegun { certificate.countFailedHandshake() }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case NIOSSLError.uncleanShutdown = error { return }
        context.fireErrorCaught(error)
    }
}
