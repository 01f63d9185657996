import HTTPServer
import TestSupport
import Testing

@Suite("The syntax of fields and request lines")
struct FieldSyntaxTests {
    private static let spaces = [" ", "\t", "  ", " \t "]

    @Test("white space around a field's value is no part of it (RFC 9112 section 5)", arguments: spaces)
    func whiteSpace(space: String) async throws {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            func post(_ fields: String) -> String { "POST / HTTP/1.1\r\nHost:\(space)test\(space)\r\n\(fields)\r\n\r\n" }
            for fields in ["Content-Length: 2\(space)", "Content-Length:\(space)2", "Content-Length:2\(space)"] {
                #expect(try client.exchange(post(fields) + "hi").body == "POST / [hi]", "\(fields.debugDescription)")
            }
            for fields in ["Transfer-Encoding: chunked\(space)", "Transfer-Encoding:\(space)chunked"] {
                #expect(try client.exchange(post(fields) + "2\r\nhi\r\n0\r\n\r\n").body == "POST / [hi]", "\(fields.debugDescription)")
            }
            for fields in ["Expect: 100-continue\(space)", "Expect:\(space)100-continue"] {
                #expect(try client.exchange(post("\(fields)\r\nContent-Length: 2")).status == 100, "\(fields.debugDescription)")
                #expect(try client.exchange("hi").body == "POST / [hi]")
            }
            let last = try client.exchange(.get("/last", "Connection: close\(space)"))
            #expect(last.body == "GET /last []" && last["connection"] == "close")
            #expect(try client.readsEnd())
        }
    }

    @Test(
        "close is found among other connection options, in any case and in any of several fields (RFC 9110 section 7.6.1)",
        arguments: [
            "Connection: close, te", "Connection: te , CLOSE", "Connection: te,\tclose\t,x", "Connection: ,close,",
            "Connection: te\r\nConnection: close", "Connection: keep-alive, close",
        ])
    func connectionOptions(fields: String) async throws {
        let (response, ends) = try await lastAnswer(to: .get("/", fields))
        #expect(response.body == "GET / []" && response["connection"] == "close" && ends)
    }

    @Test("an option that only contains the word close closes nothing", arguments: ["closed", "x-close", "\"close\"", "clos", "close=1"])
    func otherOptions(option: String) async throws {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            #expect(try client.exchange(.get("/", "Connection: \(option)"))["connection"] == nil)
            #expect(try client.exchange(.get("/more")).body == "GET /more []")
        }
    }

    @Test(
        "a Host that is a host with or without a port is taken (RFC 9110 section 7.2)",
        arguments: [
            "", "test", "test:", "test:80", "127.0.0.1:8080", "[::1]", "[::1]:8080", "[fe80::1:2]:1", "[v1.a:b]", "a_b.example",
            "%41.example",
            "a!$&'()*+;=b", "xn--hq1bm8jm9l.example",
        ])
    func goodHost(host: String) async throws {
        let response = try await withClient { try RawHTTPClient(port: $0).exchange("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n") }
        #expect(response.status == 200, "\(response.body)")
    }

    @Test(
        "any other Host is refused (RFC 9112 section 3.2)",
        arguments: [
            "a b,c", "a b", "a\tb", "a/b", "a?b", "a#b", "user@test", "test:80:80", "test:eighty", "test:-1", "[::1", "::1]", "[]", "a[b]",
            "[::1]x", "http://test", "a\\b", "a<b", "a\"b", "%4", "%zz", "쿠폰", "{a}", "a|b", "a^b", "a`b",
        ])
    func badHost(host: String) async throws {
        let (response, ends) = try await lastAnswer(to: "GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        #expect(response.status == 400 && response["connection"] == "close" && ends, "\(response.body)")
    }

    @Test(
        "only HTTP is spoken",
        arguments: ["RTSP/1.0", "ICE/1.0", "RTSP/1.1", "ICE/1.1", "HTCPCP/1.0", "XTTP/1.1", "HTTP/1.1/1", "HTTPS/1.1", "1.1"])
    func protocols(version: String) async throws {
        for method in ["GET", "SOURCE", "DESCRIBE", "PLAY", "POST"] {
            let (response, ends) = try await lastAnswer(to: "\(method) / \(version)\r\nHost: test\r\n\r\n")
            #expect(response.status == 400 && response["connection"] == "close" && ends, "\(method): \(response.body)")
        }
    }

    /// The first answer to a request with another one right behind it, and whether the connection ends with that answer.
    private func lastAnswer(to request: String) async throws -> (RawHTTPResponse, Bool) {
        try await withClient { port in
            let client = try RawHTTPClient(port: port)
            let response = try client.exchange(request + .get("/smuggled"))
            return (response, response["connection"] == "close" ? try client.readsEnd() : false)
        }
    }
}
