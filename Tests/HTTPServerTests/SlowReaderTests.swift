import HTTPServer
import NIOCore
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Clients that read slowly, and answers larger than what the sockets' buffers take.
@Suite("Slow readers")
struct SlowReaderTests {
    /// Larger than the greatest send buffer (4 MiB by default, tcp(7)), so that a part is still with the server.
    private static let answer = HTTPResponse(status: 200, body: ByteBuffer(repeating: UInt8(ascii: "x"), count: 6 << 20))

    /// What follows the requests, and ends the connection once they are answered.
    enum Ending: String, Sendable, CaseIterable {
        case halfClose, connectionClose, connectionCloseAndHalfClose, http10, http10AndHalfClose, badRequest, badRequestAndHalfClose

        var halfCloses: Bool { rawValue.hasSuffix("alfClose") }
        var requests: (text: String, statuses: [Int]) {
            switch self {
            case .halfClose: (.get("/1") + .get("/2"), [200, 200])
            case .connectionClose, .connectionCloseAndHalfClose: (.get("/1") + .get("/2", "Connection: close"), [200, 200])
            case .http10, .http10AndHalfClose: (.get("/1") + "GET /2 HTTP/1.0\r\n\r\n", [200, 200])
            case .badRequest, .badRequestAndHalfClose: (.get("/1") + "GET / HTTP/1.1\r\n\r\n", [200, 400])
            }
        }
    }

    @Test("every byte of every answer arrives, however the client says that it sends no more", arguments: Ending.allCases)
    func everyByte(ending: Ending) async throws {
        try await withServer(handler: { _ in Self.answer }) { server, port in
            let (text, statuses) = ending.requests
            let (answers, count) = try await offPool {
                let client = try RawHTTPClient(port: port, timeoutMilliseconds: 60_000, receiveBufferBytes: 4_096)
                try client.send(text)
                if ending.halfCloses { client.finishWriting() }
                return try readSlowly(client)
            }
            #expect(answers.statuses == statuses && answers.isComplete, "\(answers.statuses), \(count) bytes arrived")
            try await eventually("the connection is closed") { server.statistics.openConnections == 0 }
        }
    }

    @Test("a client that half-closes gets every byte also where less than the low-water mark is left in the server")
    func halfClosedNearTheEnd() async throws {
        let capacity = try await socketCapacity()
        try await withServer(handler: { request in
            HTTPResponse(status: 200, body: ByteBuffer(repeating: UInt8(ascii: "x"), count: Int(request.query ?? "") ?? 0))
        }) { server, port in
            // From where the sockets take all to where as much as the mark is left, in steps smaller than the mark.
            for excess in stride(from: -32_768, through: 65_536, by: 8_192) {
                let requests = server.statistics.requests
                let (answers, count) = try await offPool {
                    let client = try RawHTTPClient(port: port, timeoutMilliseconds: 60_000, receiveBufferBytes: 4_096)
                    try client.send(.get("/?\(max(1, capacity + excess))"))
                    try waitUntil { server.statistics.requests > requests && server.statistics.requestsInFlight == 0 }
                    client.finishWriting()
                    // Time for the server to see it, on today's machines; a correct server needs none.
                    usleep(20_000)
                    return try readSlowly(client)
                }
                #expect(answers.statuses == [200] && answers.isComplete, "\(count) bytes arrived of an answer of \(capacity + excess)")
            }
        }
    }

    @Test("a client that reads so slowly that the kernel's buffer does not get free keeps its connection", arguments: [false, true])
    func slowBeyondTheTimeout(halfCloses: Bool) async throws {
        let timeout = TimeAmount.seconds(3)
        try await withServer(configure: { $0.limits.writeTimeout = timeout }, handler: { _ in Self.answer }) { _, port in
            let (answers, count) = try await offPool {
                let client = try RawHTTPClient(port: port, timeoutMilliseconds: 60_000, receiveBufferBytes: 4_096)
                try client.send(.get("/"))
                if halfCloses { client.finishWriting() }
                // Some 100 KB in each timeout, of a buffer of which the kernel must be rid of hundreds of kilobytes before it takes more.
                var (answers, count) = (AnswerStream(), 0)
                let end = ContinuousClock.now + .nanoseconds(timeout.nanoseconds * 2)
                while ContinuousClock.now < end, case let bytes = try client.readSome(atMost: 3_000), !bytes.isEmpty {
                    try answers.take(bytes)
                    count += bytes.count
                    usleep(100_000)
                }
                client.finishWriting()
                let (all, rest) = try readSlowly(client, answers)
                return (all, count + rest)
            }
            #expect(answers.statuses == [200] && answers.isComplete, "\(count) bytes arrived")
        }
    }

    /// How many bytes the buffers of both sockets take from an answer that nobody reads.
    private func socketCapacity() async throws -> Int {
        try await withServer(handler: { _ in HTTPResponse(status: 200, body: ByteBuffer(repeating: 0, count: 64 << 20)) }) { server, port in
            async let count = offPool {
                let client = try RawHTTPClient(port: port, timeoutMilliseconds: 60_000, receiveBufferBytes: 4_096)
                try client.send(.get("/"))
                while server.port != nil || server.statistics.openConnections > 0 { usleep(1_000) }
                return try readSlowly(client).1
            }
            try await eventually("the request is answered") { server.statistics.requests == 1 && server.statistics.requestsInFlight == 0 }
            await server.drain(deadline: .zero)
            return try await count
        }
    }

    @Test("draining waits for what is answered and not yet sent", arguments: [false, true])
    func drain(halfCloses: Bool) async throws {
        try await withServer(handler: { _ in Self.answer }) { server, port in
            async let read = offPool {
                let client = try RawHTTPClient(port: port, timeoutMilliseconds: 60_000, receiveBufferBytes: 4_096)
                try client.send(.get("/"))
                if halfCloses { client.finishWriting() }
                // The server has begun to answer, and drains before the rest is read.
                var answers = AnswerStream()
                try answers.take(try client.readSome(atMost: 1))
                while server.port != nil { usleep(1_000) }
                return try readSlowly(client, answers)
            }
            try await eventually("the request is answered") { server.statistics.requests == 1 && server.statistics.requestsInFlight == 0 }
            await server.drain(deadline: .seconds(120))
            let (answers, count) = try await read
            #expect(answers.statuses == [200] && answers.isComplete, "\(count) bytes arrived")
        }
    }

    @Test("draining does not wait longer than its deadline for a client that reads nothing, and no shorter")
    func drainDeadline() async throws {
        try await withServer(handler: { _ in Self.answer }) { server, port in
            let released = Gate()
            async let idle: Void = offPool {
                let client = try RawHTTPClient(port: port, receiveBufferBytes: 4_096)
                try client.send(.get("/"))
                while server.port != nil { usleep(1_000) }
                while released.entered == 0 { usleep(1_000) }
                client.close()
            }
            try await eventually("the request is answered") { server.statistics.requests == 1 && server.statistics.requestsInFlight == 0 }
            let start = ContinuousClock.now
            await server.drain(deadline: .milliseconds(300))
            let waited = start.duration(to: .now)
            released.open()
            await released.pass()
            try await idle
            #expect(waited >= .milliseconds(290))
            #expect(server.statistics.openConnections == 0)
        }
    }
}

/// Reads to the end in small pieces; the answers and how many bytes they had.
private func readSlowly(_ client: RawHTTPClient, _ begun: AnswerStream = AnswerStream()) throws -> (AnswerStream, Int) {
    var (answers, count) = (begun, 0)
    while case let bytes = try client.readSome(atMost: 16_384), !bytes.isEmpty {
        try answers.take(bytes)
        count += bytes.count
    }
    return (answers, count)
}
