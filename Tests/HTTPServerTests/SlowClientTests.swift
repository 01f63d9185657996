import HTTPServer
import NIOCore
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Clients that want to keep the server busy or waiting for nothing.
@Suite("Clients that waste the server's time")
struct SlowClientTests {
    @Test("a head of 16 KiB that arrives byte by byte is answered")
    func byteByByte() async throws {
        try await withClient(configure: { $0.headTimeout = .seconds(120) }) { port in
            let client = try RawHTTPClient(port: port, timeoutMilliseconds: 60_000)
            let fields = (0..<100).map { "Field-\($0): \(String(repeating: "v", count: 140))" }.joined(separator: "\r\n")
            let request = "POST /slow HTTP/1.1\r\nHost: test\r\n\(fields)\r\nContent-Length: 2\r\n\r\nhi"
            #expect((15_000...16_384).contains(request.utf8.count))
            for byte in request.utf8 { try client.send([byte]) }
            #expect(try client.readResponse().body == "POST /slow [hi]")
        }
    }

    @Test("what follows a body of the announced length is the next request, whatever it is")
    func moreThanAnnounced() async throws {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            let request = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi"
            try client.send(request + .get("/next") + request + "and more of it" + String(repeating: "x", count: 100_000))
            #expect(try client.readResponse().body == "POST / [hi]")
            #expect(try client.readResponse().body == "GET /next []")
            #expect(try client.readResponse().body == "POST / [hi]")
            #expect(try [400, 431].contains(client.readResponse().status))
            #expect(try client.readsEnd())
        }
    }

    @Test("connections that never finish a head are closed when its time is over, and hold up nobody else")
    func unfinishedHeads() async throws {
        // An empty line is no part of a request, and a client that has not begun one is not told that it is late.
        let silent = ["", "\r\n"]
        let begun = [
            "G", "GET / HTTP/1.1", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: test\r\nA", "GET / HTTP/1.1\r\nHost: test\r\n\r",
        ]
        // Long enough for a busy machine to make all connections and send their bytes first.
        try await withServer(configure: { $0.headTimeout = .seconds(15) }) { server, port in
            let (status, answers) = try await offPool {
                let parts = (0..<40).flatMap { _ in silent + begun }
                let clients = try parts.map { part in
                    let client = try RawHTTPClient(port: port, timeoutMilliseconds: 60_000)
                    try client.send(part)
                    return client
                }
                let status = try RawHTTPClient(port: port).exchange(.get("/")).status
                return (status, try zip(parts, clients).map { ($0, try $1.readToEnd()) })
            }
            #expect(status == 200)
            for (part, answer) in answers {
                #expect(silent.contains(part) ? answer.isEmpty : answer.hasPrefix("HTTP/1.1 408 "), "\(part.debugDescription): \(answer)")
            }
            try await eventually("every connection is closed") { server.statistics.openConnections == 0 }
            #expect(server.statistics.requests == 1)
        }
    }

    /// A beginning, what follows it without an end, and how often at most until the server must have refused it.
    struct Endless: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let beginning: String
        let piece: String
    }

    private static let chunked = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    private static let endless = [
        Endless(testDescription: "one chunk extension", beginning: chunked + "1;a=", piece: "bbbbbbbb"),
        Endless(testDescription: "chunk extensions", beginning: chunked + "1", piece: ";a=b"),
        Endless(testDescription: "a quoted chunk extension", beginning: chunked + "1;a=\"", piece: ";\\\"\t "),
        Endless(
            testDescription: "an extension of every chunk", beginning: chunked, piece: "1;\(String(repeating: "a", count: 40))\r\nx\r\n"),
        Endless(testDescription: "zeros before a chunk size", beginning: chunked, piece: "00000000"),
        Endless(testDescription: "trailers", beginning: chunked + "0\r\n", piece: "A: b\r\n"),
        Endless(testDescription: "one trailer", beginning: chunked + "0\r\nA: ", piece: "bbbbbbbb"),
        Endless(testDescription: "fields", beginning: "GET / HTTP/1.1\r\nHost: test\r\n", piece: "A: b\r\n"),
        Endless(testDescription: "space before a field's value", beginning: "GET / HTTP/1.1\r\nHost: test\r\nA:", piece: " \t"),
        Endless(testDescription: "a method", beginning: "", piece: "GET"),
        Endless(testDescription: "a target", beginning: "GET /", piece: "abc"),
        Endless(testDescription: "empty lines", beginning: "", piece: "\r\n"),
    ]

    @Test("what never ends is refused after 64 KiB at most, in pieces of one byte or of many", arguments: endless)
    func neverEnds(endless: Endless) async throws {
        try await withServer { server, port in
            for pieceCount in [1, 100] {
                try await offPool {
                    let client = try RawHTTPClient(port: port)
                    try client.send(endless.beginning)
                    var sent = 0
                    while try !client.hasBytesToRead(withinMilliseconds: 0) {
                        // The server may be that far behind what the sockets' buffers hold.
                        guard sent < 8 << 20 else { break }
                        do {
                            try client.send(String(repeating: endless.piece, count: pieceCount))
                        } catch RawHTTPClient.Failure.socket(errno: EPIPE), RawHTTPClient.Failure.socket(errno: ECONNRESET) {
                            break
                        }
                        sent += endless.piece.utf8.count * pieceCount
                    }
                    let response = try client.readResponse()
                    #expect([400, 413, 431].contains(response.status), "\(sent) bytes sent: \(response.statusLine)")
                    #expect(response["connection"] == "close")
                }
            }
            #expect(server.statistics.requests == 0)
        }
    }
}
