import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import HTTPServer

@Suite("Requests and dates")
struct RequestTests {
    @Test(
        "a query reads as its decoded pairs, or as malformed",
        arguments: [
            (nil, []), ("", []), ("a=b", ["a", "b"]), ("a=1&b=2", ["a", "1", "b", "2"]), ("a", ["a", ""]), ("a=", ["a", ""]),
            ("=b", ["", "b"]),
            ("&&a=b&", ["a", "b"]), ("a=b=c", ["a", "b=c"]), ("q=%EC%BF%A0+x%2B", ["q", "쿠 x+"]), ("a%3D=%26", ["a=", "&"]),
            ("a=1&a=2", ["a", "1", "a", "2"]),
            ("a=%", nil), ("%=a", nil), ("a=%4", nil), ("a=%GG", nil), ("a=%FF", nil), ("a=b&c=%C3", nil),
        ] as [(String?, [String]?)]
    )
    func query(text: String?, expected: [String]?) {
        let request = HTTPRequest(method: .GET, path: "/", query: text, eventLoop: EmbeddedEventLoop())
        #expect(request.queryItems()?.flatMap { [$0.name, $0.value] } == expected)
    }

    @Test("the fields handlers need are found whatever their case, and repeated ones are joined")
    func fields() {
        let headers: HTTPHeaders = [
            "AUTHORIZATION": "Bearer x", "content-type": "application/json", "Idempotency-Key": "a", "IDEMPOTENCY-KEY": "b",
            "Content-Typo": "z",
        ]
        let request = HTTPRequest(method: .GET, path: "/", headers: headers, eventLoop: EmbeddedEventLoop())
        #expect(request.authorization == "Bearer x")
        #expect(request.contentType == "application/json")
        #expect(request.idempotencyKey == "a, b")
    }

    @Test(
        "a date is written as HTTP writes it",
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"), (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"), (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
        ]
    )
    func dates(seconds: Int, expected: String) {
        #expect(DateField.format(secondsSinceEpoch: seconds) == expected)
    }

    @Test("an answer rendered in advance is the same bytes as one that is not")
    func prerendered() {
        var response = HTTPResponse(
            status: 429, headers: [("retry-after", "1")], contentType: "application/problem+json", body: ByteBuffer(string: "{}"))
        for isHead in [false, true] {
            for connection in [ConnectionHeader.none, .close, .keepAlive] {
                var plain = ByteBuffer()
                var prerendered = ByteBuffer()
                let date = ByteBuffer(string: "date: x\r\n\r\n")
                response.render(into: &plain, date: date, connection: connection, isHead: isHead)
                response.prerendered().render(into: &prerendered, date: date, connection: connection, isHead: isHead)
                #expect(plain == prerendered)
                #expect(
                    String(buffer: plain).hasPrefix(
                        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n"))
            }
        }
        response.status = 299
        var unknown = ByteBuffer()
        response.writeHead(into: &unknown)
        #expect(String(buffer: unknown).hasPrefix("HTTP/1.1 299 \r\n"))
    }
}
