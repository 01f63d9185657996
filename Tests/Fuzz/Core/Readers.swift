import Foundation
import NIOCore
import NIOEmbedded
import NIOHTTP1

@testable import HTTPServer

/// The two readers that are compared.
package enum Readers {

    /// How the server's state machine reads the bytes, when they arrive in pieces of these lengths and the client then half-closes.
    package static func ours(_ bytes: [UInt8], pieces: [Int]) -> Verdict {
        var reader = OurReader()
        var start = 0
        for length in pieces + [bytes.count] {
            let end = min(bytes.count, start + length)
            if start < end { reader.machine.received(ByteBuffer(bytes: bytes[start..<end]), at: reader.now) }
            start = end
            guard reader.advance() else { continue }
            // After the end, further bytes must have no effect.
            if start < bytes.count { reader.machine.received(ByteBuffer(bytes: bytes[start...]), at: reader.now) }
            _ = reader.advance()
            return reader.verdict
        }
        reader.machine.inputEnded()
        _ = reader.advance()
        return reader.verdict
    }

    private struct OurReader {
        var machine = HTTPConnectionStateMachine(limits: HTTPLimits(), now: .uptimeNanoseconds(1))
        var verdict = Verdict()
        let eventLoop = EmbeddedEventLoop()
        let now = NIODeadline.uptimeNanoseconds(1)

        /// Performs the machine's actions until it waits; true once it reads no more.
        mutating func advance() -> Bool {
            while true {
                switch machine.next(at: now) {
                case .run(let head, let bytes, let chunks, let number):
                    precondition(verdict.end == .atRequest, "a request after the end: \(verdict)")
                    let origin = RequestOrigin(number: 1, eventLoop: eventLoop, peer: .unspecified)
                    let request = HTTPRequest(
                        head: head, bytes: bytes, chunks: chunks, origin: origin, receivedAt: now, number: UInt32(number))
                    precondition((1...128).contains(request.id.description.utf8.count), "an id of a wrong length")
                    _ = request.traceParent
                    let form = machine.answered(number, at: now)
                    let staysOpen = form?.connection != .close
                    let target = bytes.withUnsafeReadableBytes { String(decoding: $0[head.target.range], as: UTF8.self) }
                    verdict.requests.append(
                        Verdict.Request(
                            method: request.methodName, target: target, path: request.path, query: request.query,
                            minorVersion: head.version == .http11 ? 1 : 0,
                            fields: request.allFields.map { Verdict.Request.Field(name: $0.name, value: $0.value) },
                            body: Array(request.body.readableBytesView), staysOpen: staysOpen))
                    precondition(request.bodyByteCount == request.body.readableBytes)
                    if !staysOpen { verdict.end = .afterLastRequest }
                case .refuse(let refusal, _):
                    // Reads by positions that were noted before the fault.
                    if let refused = machine.takeRefusedRequest() { _ = refused.head?.givenID(in: refused.bytes)?.text }
                    precondition(verdict.end == .atRequest, "a refusal after the end: \(verdict)")
                    verdict.end = .refused(status: refusal.status)
                case .runLarge, .askLargeBody: preconditionFailure("the machine asks about no large body")
                case .sendContinue: break
                case .sendLast: _ = machine.lastAnswerSent(at: now)
                case .shutDownOutput, .close: return true
                case .wait: return verdict.end != .atRequest
                }
            }
        }
    }

    /// How NIOHTTP1's decoder (llhttp) reads the bytes, without its limits on sizes.
    package static func oracle(_ bytes: [UInt8], pieces: [Int]) -> Verdict {
        var limits = NIOHTTPDecoderLimitConfiguration()
        (limits.maxHeaderFieldSize, limits.maxHeaderListSize, limits.maxHeaderFieldCount) = (1 << 20, 1 << 20, 1 << 20)
        let collector = Collector()
        let channel = EmbeddedChannel(
            handlers: [ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)), collector])
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        var start = 0
        for length in pieces + [bytes.count] {
            let end = min(bytes.count, start + length)
            if start < end { channel.pipeline.fireChannelRead(ByteBuffer(bytes: bytes[start..<end])) }
            start = end
            if collector.verdict.end != .atRequest { return collector.verdict }
        }
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        if collector.verdict.end == .atRequest, collector.partial != nil { collector.verdict.end = .refused(status: nil) }
        return collector.verdict
    }

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        var verdict = Verdict()
        var partial: Verdict.Request?

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard verdict.end == .atRequest else { return }
            switch Self.unwrapInboundIn(data) {
            case .head(let head):
                let fields = head.headers.map { Verdict.Request.Field(name: $0.name, value: Self.trimmed($0.value)) }
                // The bytes after an upgrade are of another protocol.
                let upgrades = fields.contains { $0.name.lowercased() == "upgrade" }
                let (path, query) = Self.pathAndQuery(of: head.uri)
                partial = Verdict.Request(
                    method: head.method == .MSEARCH ? "M-SEARCH" : head.method.rawValue, target: head.uri, path: path, query: query,
                    minorVersion: head.version.minor,
                    fields: fields, body: [],
                    staysOpen: head.isKeepAlive && !upgrades)
            case .body(let bytes):
                partial?.body += bytes.readableBytesView
            case .end:
                guard let request = partial.take() else { return }
                verdict.requests.append(request)
                if !request.staysOpen { verdict.end = .afterLastRequest }
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            if verdict.end == .atRequest { verdict.end = .refused(status: nil) }
        }

        /// Path and query of a target in origin form, in absolute form, or of the asterisk.
        private static func pathAndQuery(of target: String) -> (String, String?) {
            var origin = target
            if !target.hasPrefix("/"), let scheme = target.range(of: "://") {
                let rest = target[scheme.upperBound...]
                origin = String(rest[(rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex)...])
                if !origin.hasPrefix("/") { origin = "/" + origin }
            }
            let parts = origin.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            return (parts.first ?? "", parts.count > 1 ? parts[1] : nil)
        }

        private static func trimmed(_ value: String) -> String {
            var bytes = Array(value.utf8)[...]
            while let first = bytes.first, first == 0x20 || first == 0x09 { bytes.removeFirst() }
            while let last = bytes.last, last == 0x20 || last == 0x09 { bytes.removeLast() }
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}
