import NIOCore
import NIOEmbedded
import Testing

@testable import HTTPServer

@Suite("Requests and dates")
struct RequestTests {
    @Test("the fields handlers need are found whatever their case, and repeated ones are joined")
    func fields() throws {
        let request = try #require(
            HTTPRequest(
                method: "GET", target: "/",
                fields: [
                    ("AUTHORIZATION", "Bearer x"), ("content-type", "application/json"), ("Idempotency-Key", "a"),
                    ("IDEMPOTENCY-KEY", "b"), ("Content-Typo", "z"), ("If-Match", " \"1\"\t"), ("if-none-match", "*"),
                ], eventLoop: EmbeddedEventLoop()))
        #expect(request.value(of: .authorization) == "Bearer x")
        #expect(request.value(of: .contentType) == "application/json")
        #expect(request.value(of: .idempotencyKey) == "a, b")
        #expect(request.value(of: .ifMatch) == "\"1\"" && request.value(of: .ifNoneMatch) == "*")
        #expect(request.allFields.map(\.name).contains("Content-Typo"))
        #expect(request.values(of: "content-typo") == ["z"])
        var isOne = false
        request.withCredentials { if case .one(let value) = $0 { isOne = value.elementsEqual("Bearer x".utf8) } }
        #expect(isOne)
    }

    @Test("one Authorization is credentials, none is missing, and two are neither")
    func credentials() throws {
        func kind(_ values: [String]) throws -> String {
            let fields = values.map { (name: "Authorization", value: $0) } + [("Idempotency-Key", "k")]
            let request = try #require(HTTPRequest(method: "GET", target: "/", fields: fields, eventLoop: EmbeddedEventLoop()))
            var kind = ""
            request.withCredentials { credentials in
                kind =
                    switch credentials {
                    case .missing: "missing"
                    case .one(let value): String(decoding: value, as: UTF8.self)
                    case .several: "several"
                    }
            }
            return kind
        }
        #expect(try kind([]) == "missing")
        #expect(try kind(["Bearer a"]) == "Bearer a")
        #expect(try kind(["Bearer a", "Bearer a"]) == "several")
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

    @Test("an answer is sent with its date, and with what is said about the connection")
    func rendering() {
        let response = HTTPResponse(
            status: 429, headers: [("retry-after", "1")], contentType: "application/problem+json", body: ByteBuffer(string: "{}"))
        var date = DateField()
        date.update(.now())
        for isHead in [false, true] {
            for (connection, field) in [
                (ConnectionField.none, ""), (.close, "connection: close\r\n"), (.keepAlive, "connection: keep-alive\r\n"),
            ] {
                // What another answer left in the buffer stays as it is.
                var output = ByteBuffer(string: "before")
                response.render(into: &output, date: date, .of(1, connection: connection, isHead: isHead))
                let text = String(buffer: output)
                let start =
                    "beforeHTTP/1.1 429 Too Many Requests\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n"
                    + "content-length: 2\r\n" + field + "x-request-id: 00000000000000ab00000001\r\ndate: "
                #expect(text.hasPrefix(start) && text.hasSuffix(" GMT\r\n\r\n" + (isHead ? "" : "{}")))
                #expect(text.utf8.count == start.utf8.count + 29 + 4 + (isHead ? 0 : 2) && !text.contains("1970"))
            }
        }
        #expect(response.headers.map(\.name) == ["content-type", "retry-after", "content-length"])
        #expect(String(buffer: response.body) == "{}")
        var unknown = ByteBuffer()
        HTTPResponse(status: 299).render(into: &unknown, date: date, .of(2))
        #expect(String(buffer: unknown).hasPrefix("HTTP/1.1 299 \r\n"))
    }
}

extension AnswerAdditions {
    /// What is added to the answer to a request of the connection 0xAB.
    fileprivate static func of(_ number: UInt32, connection: ConnectionField = .none, isHead: Bool = false) -> AnswerAdditions {
        AnswerAdditions(id: GeneratedIDText(ConnectionIDText(0xAB), number), connection: connection, isHead: isHead)
    }
}
