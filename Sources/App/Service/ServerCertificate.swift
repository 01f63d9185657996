import Foundation
import HTTPServer
package import Logging
package import NIOCore
import NIOSSL
import Synchronization

/// The certificate of the HTTP side and its key, read from files that can be read again.
package final class ServerCertificate: Sendable {
    /// Where the certificate chain and its key are, both in PEM.
    package struct Files: Sendable, Equatable {
        package let certificate: String
        package let key: String

        package init(certificate: String, key: String) {
            (self.certificate, self.key) = (certificate, key)
        }
    }

    private let files: Files
    /// What new connections use. Connections keep what they began with.
    private let context: Mutex<NIOSSLContext>

    /// How long a closed connection waits for the client to confirm it.
    private static let shutdownTimeout = HTTPLimits().lingerTimeout

    /// Reads the files. A certificate that is not valid now is used with a warning, so that a service can start while a new one is made.
    ///
    /// - Throws: `CommandError` where no connection could be made with them.
    package init(_ files: Files, logger: Logger) throws {
        self.files = files
        let pair = try Self.read(files)
        context = Mutex(pair.context)
        if let fault = Self.faultOfTime(pair.leaf, files, at: Date()) { logger.warning("\(fault)") }
    }

    /// Reads the files again. New connections use the new certificate.
    ///
    /// - Throws: `CommandError` where it cannot be used, or is not valid now; the former one stays in use.
    package func reload() throws {
        let pair = try Self.read(files)
        if let fault = Self.faultOfTime(pair.leaf, files, at: Date()) { throw CommandError(fault) }
        context.withLock { $0 = pair.context }
    }

    /// Has a connection that was just accepted use TLS.
    package func secure(_ channel: any Channel) throws {
        let handler = NIOSSLServerHandler(context: context.withLock { $0 })
        try channel.pipeline.syncOperations.addHandlers(handler, EndOfInputFilter())
    }
}

// MARK: - Reading

extension ServerCertificate {
    private static func read(_ files: Files) throws -> (context: NIOSSLContext, leaf: NIOSSLCertificate) {
        let chainBytes = try bytes(of: files.certificate, flag: "--tls-cert")
        let keyBytes = try bytes(of: files.key, flag: "--tls-key")
        guard let chain = try? NIOSSLCertificate.fromPEMBytes(chainBytes), let leaf = chain.first else {
            throw CommandError("--tls-cert \(files.certificate) holds no certificate in PEM form")
        }
        guard let key = try? NIOSSLPrivateKey(bytes: keyBytes, format: .pem) else {
            throw CommandError("--tls-key \(files.key) holds no private key in PEM form, or one that is encrypted")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        configuration.shutdownTimeout = shutdownTimeout
        do {
            return (try NIOSSLContext(configuration: configuration), leaf)
        } catch {
            throw CommandError("the key of --tls-key \(files.key) does not belong to the certificate of --tls-cert \(files.certificate)")
        }
    }

    private static func bytes(of path: String, flag: String) throws(CommandError) -> [UInt8] {
        do {
            return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            let code = ((error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError)?.code ?? (error as NSError).code
            let reason = (error as? CocoaError)?.code == .fileReadNoSuchFile ? "there is no such file" : String(cString: strerror(Int32(code)))
            throw CommandError("\(flag) \(path) cannot be read: \(reason)")
        }
    }

    private static func faultOfTime(_ certificate: NIOSSLCertificate, _ files: Files, at now: Date) -> String? {
        let (start, end) = (certificate.notValidBefore, certificate.notValidAfter)
        let seconds = Int(now.timeIntervalSince1970)
        if seconds > end { return "the certificate of --tls-cert \(files.certificate) has expired on \(text(end))" }
        if seconds < start { return "the certificate of --tls-cert \(files.certificate) is valid from \(text(start)) on" }
        return nil
    }

    private static func text(_ time: time_t) -> String { Date(timeIntervalSince1970: TimeInterval(time)).ISO8601Format() }
}

/// Takes a TCP connection that ends without the end of TLS as the end of the client's requests, as without TLS.
///
/// Nothing can be cut off unnoticed: the framing of HTTP says where a request ends, and an incomplete one is refused.
private final class EndOfInputFilter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case NIOSSLError.uncleanShutdown = error { return }
        context.fireErrorCaught(error)
    }
}
