import Foundation
package import Logging
import NIOCore
import NIOSSL
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
    private let context: Mutex<NIOSSLContext>

    /// How long a closed connection waits for the client to confirm it.
    private static let shutdownTimeout = HTTPLimits().lingerTimeout

    /// Reads the files. A certificate that is not valid now is used with a warning: the service can start, and reread a new one later.
    ///
    /// - Throws: ``Failure`` where no connection could be made with them.
    package init(_ files: Files, logger: Logger) throws {
        self.files = files
        let pair = try Self.load(files)
        context = Mutex(pair.context)
        if let fault = Self.faultOfTime(pair.leaf, files, at: Date()) { logger.warning("\(fault)") }
    }

    /// Reads the files again. New connections use the new certificate.
    ///
    /// - Throws: ``Failure`` where it cannot be used, or is not valid now; the former one stays in use.
    package func reload() throws {
        let pair = try Self.load(files)
        if let fault = Self.faultOfTime(pair.leaf, files, at: Date()) { throw Failure(description: fault) }
        context.withLock { $0 = pair.context }
    }

    /// Has a connection that was just accepted use TLS.
    func secure(_ channel: any Channel) throws {
        let handler = NIOSSLServerHandler(context: context.withLock { $0 })
        try channel.pipeline.syncOperations.addHandlers(handler, UncleanEndFilter())
    }
}

// MARK: - Reading

extension ServerCertificate {
    private static func load(_ files: Files) throws(Failure) -> (context: NIOSSLContext, leaf: NIOSSLCertificate) {
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
            return (try NIOSSLContext(configuration: configuration), leaf)
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

/// Takes a TCP connection that ends without the end of TLS as the end of the client's requests, as without TLS.
///
/// Nothing can be cut off unnoticed: the framing of HTTP says where a request ends, and an incomplete one is refused.
private final class UncleanEndFilter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case NIOSSLError.uncleanShutdown = error { return }
        context.fireErrorCaught(error)
    }
}
