import Bench
import NIOCore
import TestSupport

/// Requests that become one group of the store's writer, however the machine schedules threads: while the store's write lock is held
/// elsewhere, one write has the writer wait for it, and the others queue up behind.
///
/// Safety of `@unchecked Sendable`: its calls block and are made one after the other.
final class WriteGroup: @unchecked Sendable {
    private let lock: StoreLock
    private let clients: [RawHTTPClient]
    /// Sends the write that has the writer wait.
    private let first: RawHTTPClient
    private let probe: RawHTTPClient

    init(of size: Int, port: Int, dataFolder: String) throws {
        lock = try StoreLock(dataFolder: dataFolder)
        clients = try (0..<size).map { _ in try RawHTTPClient(port: port) }
        (first, probe) = (try RawHTTPClient(port: port), try RawHTTPClient(port: port))
    }

    /// Has the writer wait.
    func hold(by write: RequestBytes) throws {
        try lock.take()
        try first.send(Array(write.readableBytesView))
        try settle()
    }

    /// Sends each request over a connection of its own, and returns when all wait for the writer.
    func send(_ requests: [RequestBytes]) throws {
        for (client, request) in zip(clients, requests) { try client.send(Array(request.readableBytesView)) }
        try settle()
    }

    /// Lets the writer go on, and reads the answers.
    func release(expecting status: Int) throws {
        try lock.release()
        for client in clients + [first] {
            let answer = try client.readResponse()
            guard answer.status == status else { throw CostFailure("a write of a group was answered \(answer.statusLine)") }
        }
    }

    /// A loop reads every socket that has bytes in one tick. So once a second request is answered that came later than the others, those
    /// were read, and what they write is queued.
    private func settle() throws {
        for _ in 1...2 { _ = try probe.exchange("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") }
    }
}
