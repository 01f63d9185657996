import AsyncHTTPClient
import Commerce
import Crypto
import NIOCore
import NIOHTTP1

/// Where the data platform takes events, and how they are signed.
package struct DataPlatform: Sendable {
    package let url: String
    /// The key of the HMAC-SHA256 signature, shared with the platform.
    package let secret: [UInt8]
    /// How long one POST may take.
    package var timeoutMilliseconds: Int64 = 5_000

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

    func deliver(_ event: OrderEvent) async throws {
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
        // The rest of the answer is of no interest, but reading it lets the connection be used again.
        _ = try? await response.body.collect(upTo: 64 * 1024)
    }

    /// A platform that cannot be reached counts: an event is parked rather than tried forever.
    func isOutage(_ error: any Error) -> Bool { false }
}
