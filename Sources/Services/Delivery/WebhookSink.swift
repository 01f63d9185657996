import AsyncHTTPClient
import Commerce
import Crypto
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// Where the data platform takes events, and how they are signed.
package struct DataPlatform: Sendable {
    package let url: String
    /// The key of the HMAC-SHA256 signature, shared with the platform.
    package let secret: [UInt8]
    /// How long the answer to a POST may take from when it was sent, and a connection until it is made.
    package var timeoutMilliseconds = standardTimeoutMilliseconds
    /// Tries that count against an event before it is parked.
    package var maximumTries = standardTries

    package static let standardTimeoutMilliseconds: Int64 = 5_000
    /// They take about an hour and a half.
    package static let standardTries: Int64 = 20

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
struct WebhookSink: Sendable {
    let platform: DataPlatform
    let client: HTTPClient
    let clock: WallClock

    /// Posts at once, each on a connection of its own.
    static let concurrency = 32

    /// Returns once the platform has taken the event. The same event may come again after a failure.
    func post(_ payload: String, of id: EventID) async throws(DeliveryFailure) {
        var request = HTTPClientRequest(url: platform.url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "Idempotency-Key", value: id.description)
        request.headers.add(name: DataPlatform.signatureHeader, value: platform.signature(of: payload))
        request.body = .bytes(ByteBuffer(string: payload))
        let response: HTTPClientResponse
        do {
            // The client's own timeouts count, each from the beginning of its part. This one only ends what none of them does.
            response = try await client.execute(request, timeout: .milliseconds(platform.timeoutMilliseconds * 4))
        } catch {
            throw Self.failure(error)
        }
        let status = Int(response.status.code)
        if (200..<300).contains(status) { return await drain(response.body) }
        let failure = failure(status, response.headers)
        await drain(response.body)
        throw failure
    }

    private func failure(_ status: Int, _ headers: HTTPHeaders) -> DeliveryFailure {
        switch status {
        case 429, 503:
            // By the platform's own clock where it says it: ours may be another.
            let now = headers.first(name: "Date").flatMap(RetryAfter.date) ?? clock.now
            return .unavailable(status: status, retryAfter: headers.first(name: "Retry-After").flatMap { RetryAfter.pause($0, at: now) })
        case 401, 403, 404, 405, 407: return .denied(status: status)
        case 408: return .failed("the data platform answered 408")
        case 400..<500: return .refused(status: status)
        default: return .failed("the data platform answered \(status)")
        }
    }

    private static func failure(_ error: any Error) -> DeliveryFailure {
        switch error {
        case let error as HTTPClientError where [.connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout].contains(error):
            .unreachable("no connection in time")
        case let error as HTTPClientError where [.readTimeout, .writeTimeout, .deadlineExceeded].contains(error):
            .failed("no answer in time")
        case let error as NIOConnectionError: .unreachable("no connection to \(error.host):\(error.port)")
        case let error as IOError where unreachable.contains(error.errnoCode):
            .unreachable("no connection: \(String(cString: strerror(error.errnoCode)))")
        default: .failed("\(error)")
        }
    }

    private static let unreachable = [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, ENOENT]

    /// The rest of an answer is of no interest, but reading it lets the connection be used again. A platform that dawdles over it
    /// loses the connection.
    private func drain(_ body: HTTPClientResponse.Body) async {
        await withTaskGroup { group in
            group.addTask { _ = try? await body.collect(upTo: 64 * 1024) }
            group.addTask { try? await Task.sleep(for: .seconds(1)) }
            await group.next()
            group.cancelAll()
        }
    }

    /// A client for the platform: as many connections as posts, so that none waits for another's. The time for an answer counts from when
    /// the post was sent. It follows no redirects: a POST that ends as a GET elsewhere would count as delivered.
    static func makeClient(for platform: DataPlatform, on group: any EventLoopGroup) -> HTTPClient {
        let timeout = TimeAmount.milliseconds(platform.timeoutMilliseconds)
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow, timeout: .init(connect: timeout, read: timeout, write: timeout))
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = concurrency
        // Delivery itself decides when to try again.
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
    }
}
