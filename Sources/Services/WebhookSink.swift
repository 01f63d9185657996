import AsyncHTTPClient
import Commerce
import Crypto
import NIOCore
import NIOHTTP1
import Store

/// Where the data platform takes events, and how they are signed.
package struct DataPlatform: Sendable {
    package let url: String
    /// The key of the HMAC-SHA256 signature, shared with the platform.
    package let secret: [UInt8]
    /// How long one POST may take.
    package var timeoutMilliseconds: Int64 = 5_000
    /// Tries before an event is parked; 20 take about an hour and a half.
    package var maximumTries: Int64 = 20

    package init(url: String, secret: [UInt8]) {
        (self.url, self.secret) = (url, secret)
    }

    /// The header that carries the signature: `sha256=` and the HMAC-SHA256 of the body in lower-case hexadecimal.
    package static let signatureHeader = "X-Firstcome-Signature"

    /// The value of ``signatureHeader`` for a body.
    package func signature(of body: String) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: Array(body.utf8), using: SymmetricKey(data: secret))
        return "sha256=" + code.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }
}

/// Posts events to the data platform. Only a 2xx answer means that it has the event.
struct WebhookSink: EventSink {
    let platform: DataPlatform
    let client: HTTPClient

    /// The platform judges each event for itself, and so does each try.
    var batchSize: Int { 1 }

    func deliver(_ events: [OutgoingEvent]) async throws {
        for event in events { try await post(event) }
    }

    private func post(_ event: OutgoingEvent) async throws {
        var request = HTTPClientRequest(url: platform.url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "Idempotency-Key", value: event.id.description)
        request.headers.add(name: DataPlatform.signatureHeader, value: platform.signature(of: event.payload))
        request.body = .bytes(ByteBuffer(string: event.payload))
        let response = try await client.execute(request, timeout: .milliseconds(platform.timeoutMilliseconds))
        guard (200..<300).contains(response.status.code) else {
            throw ServiceError(.deliveryFailed, "the data platform answered \(response.status.code)")
        }
        await drain(response.body)
    }

    /// The rest of an answer is of no interest, but reading it lets the connection be used again. A platform that dawdles over it
    /// loses the connection: the deadline of the request has ended with the head.
    private func drain(_ body: HTTPClientResponse.Body) async {
        await withTaskGroup { group in
            group.addTask { _ = try? await body.collect(upTo: 64 * 1024) }
            group.addTask { try? await Task.sleep(for: .seconds(1)) }
            await group.next()
            group.cancelAll()
        }
    }

    /// A client for the platform. It follows no redirects: a POST that ends as a GET elsewhere would count as delivered.
    static func makeClient(on group: any EventLoopGroup) -> HTTPClient {
        HTTPClient(eventLoopGroupProvider: .shared(group), configuration: .init(redirectConfiguration: .disallow))
    }

    /// A platform that cannot be reached counts: an event is parked rather than tried forever.
    func isOutage(_ error: any Error) -> Bool { false }
}
