import AsyncHTTPClient
import Commerce
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import TraceContext

/// Posts events to the data platform. Only a 2xx answer means that the platform has taken the event.
struct WebhookSink: Sendable {
    let platform: DataPlatform
    let client: HTTPClient
    let clock: WallClock

    /// The greatest number of concurrent posts, each on its own connection.
    static let concurrency = 32

    /// Returns once the platform has taken the event. After an error the caller posts it again later, although the platform may have it.
    ///
    /// - Parameter trace: the trace that the post belongs to. Each post is a span of its own, so the platform can tell tries apart.
    func post(_ payload: String, of id: EventID, in trace: TraceParent?) async throws(DeliveryFailure) {
        var request = HTTPClientRequest(url: platform.url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "Idempotency-Key", value: id.description)
        request.headers.add(name: DataPlatform.signatureHeader, value: platform.signature(of: payload))
        if let trace { request.headers.add(name: "traceparent", value: trace.child().description) }
        request.body = .bytes(ByteBuffer(string: payload))
        let response: HTTPClientResponse
        do {
            // The client's timeouts apply first: one each for connecting, reading and writing. This one ends an exchange that keeps
            // within all of them for too long.
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
            // A date in Retry-After is compared with the platform's own clock where it sends one.
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

    /// Reads the rest of an answer, so that the connection can be used again. After one second the connection is closed instead.
    private func drain(_ body: HTTPClientResponse.Body) async {
        await withTaskGroup { group in
            group.addTask { _ = try? await body.collect(upTo: 64 * 1024) }
            group.addTask { try? await Task.sleep(for: .seconds(1)) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Makes the HTTP client: with as many connections as concurrent posts, so that no post waits for another.
    ///
    /// It follows no redirects, because a POST that ends as a GET elsewhere would count as delivered.
    static func makeClient(for platform: DataPlatform, on group: any EventLoopGroup) -> HTTPClient {
        let timeout = TimeAmount.milliseconds(platform.timeoutMilliseconds)
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow, timeout: .init(connect: timeout, read: timeout, write: timeout))
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = concurrency
        // Delivery decides when to retry, not the client.
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
    }
}
