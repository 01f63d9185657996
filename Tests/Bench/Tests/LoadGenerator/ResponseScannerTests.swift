import LoadGenerator
import NIOCore
import Testing

@Suite("response scanner")
struct ResponseScannerTests {
    private static func scan(_ pieces: String...) throws -> [ResponseScanner.Answer?] {
        var scanner = ResponseScanner()
        return try pieces.map { try scanner.take(ByteBuffer(string: $0)) }
    }

    @Test("a response ends with the last byte of its Content-Length, wherever the segments are cut")
    func everyCut() throws {
        let text = "HTTP/1.1 404 Not Found\r\nDate: today\r\nconTENT-length:  12 \r\nX: y\r\n\r\nhello, world"
        for cut in 1..<text.utf8.count {
            let (head, rest) = (String(text.utf8.prefix(cut)), String(text.utf8.dropFirst(cut)))
            let answers = try Self.scan(try #require(head), try #require(rest), "HTTP/1.1 204 No Content\r\n\r\n")
            #expect(answers == [nil, .init(status: 404, keepsAlive: true), .init(status: 204, keepsAlive: true)], "cut at \(cut)")
        }
    }

    @Test("a response may be the connection's last")
    func lastOne() throws {
        #expect(
            try Self.scan("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: Close\r\n\r\n") == [.init(status: 200, keepsAlive: false)])
        #expect(
            try Self.scan("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: keep-alive\r\n\r\n")
                == [.init(status: 200, keepsAlive: true)])
    }

    @Test(
        "what is not plain HTTP/1.1 with a length is an error",
        arguments: [
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
            "-ERR unknown command\r\n",
        ])
    func malformed(text: String) {
        #expect(throws: ResponseScanner.Malformed.self) { try Self.scan(text) }
    }

    @Test("a head that does not end is an error")
    func endless() {
        let piece = String(repeating: "x", count: 9_000)
        #expect(throws: ResponseScanner.Malformed.self) { try Self.scan("HTTP/1.1 200 OK\r\nX: ", piece, piece) }
    }
}
