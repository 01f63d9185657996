import HTTPServer
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A server on loopback for one test, drained when the test ends, however it ends.
func withServer<Result: Sendable>(
    configure: (inout HTTPServerConfiguration) -> Void = { _ in },
    handler: @escaping HTTPHandler = echo,
    _ body: (HTTPListener, Int) async throws -> Result
) async throws -> Result {
    try await withServer(
        configure: configure, responder: { (request: consuming HTTPRequest) in .task { [request] in await handler(request) } }, body)
}

/// As ``withServer(configure:handler:_:)``, with a responder that says how its answers come.
func withServer<Result: Sendable>(
    configure: (inout HTTPServerConfiguration) -> Void = { _ in },
    responder: @escaping HTTPResponder,
    notes: RequestNotes? = nil,
    _ body: (HTTPListener, Int) async throws -> Result
) async throws -> Result {
    var configuration = HTTPServerConfiguration(host: "127.0.0.1", port: 0)
    configure(&configuration)
    let server = HTTPListener(
        configuration: configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, responder: { _ in responder },
        notes: { _ in notes }, refusalResponse: refusal, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
    )
    try await server.start()
    do {
        let result = try await body(server, server.port ?? 0)
        await server.drain(deadline: .zero)
        return result
    } catch {
        await server.drain(deadline: .zero)
        throw error
    }
}

/// Runs blocking client code against the port of a fresh server.
func withClient<Result: Sendable>(
    configure: (inout HTTPServerConfiguration) -> Void = { _ in },
    handler: @escaping HTTPHandler = echo,
    _ body: @escaping @Sendable (Int) throws -> Result
) async throws -> Result {
    try await withServer(configure: configure, handler: handler) { _, port in try await offPool { try body(port) } }
}

/// Answers with what it was asked: method, path, query and body.
let echo: HTTPHandler = { request in
    let query = request.query.map { "?" + $0 } ?? ""
    return .text("\(request.method.rawValue) \(request.path)\(query) [\(String(buffer: request.body))]")
}

@Sendable private func refusal(_ refusal: HTTPRefusal) -> HTTPResponse {
    let headers: [(name: String, value: String)] =
        switch refusal {
        case .tooManyRequests, .tooManyConnections, .draining: [("retry-after", "1")]
        default: []
        }
    return HTTPResponse(
        status: refusal.status, headers: headers, contentType: "text/plain", body: ByteBuffer(string: "refused: \(refusal)"))
}

/// Holds handlers until the test lets them go.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiting: [CheckedContinuation<Void, Never>] = []
        var entered = 0
        var left = 0
    }
    private let state = Mutex(State())

    var entered: Int { state.withLock { $0.entered } }
    var left: Int { state.withLock { $0.left } }

    func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                state.entered += 1
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
        state.withLock { $0.left += 1 }
    }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

/// Blocks until the condition holds, for blocking client code; throws when it never does.
func waitUntil(_ condition: () -> Bool) throws {
    let start = ContinuousClock.now
    while !condition() {
        guard start.duration(to: .now) < hangLimit else { throw RawHTTPClient.Failure.timedOut }
        usleep(1000)
    }
}

extension String {
    /// A request for this path, with the header every HTTP/1.1 request needs.
    static func get(_ path: String, _ headers: String...) -> String {
        "GET \(path) HTTP/1.1\r\nHost: test\r\n" + headers.map { $0 + "\r\n" }.joined() + "\r\n"
    }

    static func post(_ path: String, _ body: String, _ headers: String...) -> String {
        "POST \(path) HTTP/1.1\r\nHost: test\r\nContent-Length: \(body.utf8.count)\r\n" + headers.map { $0 + "\r\n" }.joined()
            + "\r\n" + body
    }
}

/// Hands a client from one thread to the next.
///
/// Safety of `@unchecked Sendable`: each test uses it from one `offPool` body at a time, awaiting the one before.
final class ClientBox: @unchecked Sendable {
    let client: RawHTTPClient
    init(_ client: RawHTTPClient) { self.client = client }
}
