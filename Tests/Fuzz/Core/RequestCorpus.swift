/// Requests about which two readers of HTTP/1.1 may disagree: every known trick of framing and request smuggling, and plain
/// requests, as the start of mutations.
package enum RequestCorpus {
    /// One input, as text whose scalars below U+0100 stand for the bytes of the same value.
    package struct Trick: Sendable {
        package let name: String
        package let bytes: [UInt8]

        init(_ name: String, _ text: String) {
            self.name = name
            bytes = text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
        }
    }

    package static let all: [Trick] =
        plain + lengths + encodings + both + chunks + trailers + lineEnds + fields + hosts + requestLines + targets + versions
        + connections + expectations + limits + pipelines

    /// Bytes with a meaning in HTTP, which mutations insert.
    package static let tokens: [[UInt8]] = [
        "\r\n", "\r\n\r\n", "\n", "\r", " ", "\t", "\0", ":", ",", ";", "=", "\"", "\\", "#", "?", "/", "*", "@", "%", "-", "+", "0", "1",
        "\u{7F}", "\u{80}", "\u{FF}", "\u{B}", "\u{C}", "\u{1}", "GET ", "POST ", "HEAD ", "OPTIONS ", "CONNECT ", " HTTP/1.1\r\n",
        " HTTP/1.0\r\n", "Host: b\r\n", "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n", "Connection: close\r\n", "Connection: keep-alive\r\n", "Upgrade: h2c\r\n",
        "Expect: 100-continue\r\n", "chunked", "close", "0\r\n\r\n", "5\r\nhello\r\n", "http://", "ffffffff", "00000000",
        "99999999999999999999", "GET /next HTTP/1.1\r\nHost: a\r\n\r\n",
    ].map { Trick("", $0).bytes }

    private static func get(_ fields: String, _ rest: String = "") -> String { "GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\(rest)" }
    private static func post(_ fields: String, _ rest: String = "") -> String { "POST /x HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\(rest)" }
    private static func chunked(_ body: String) -> String { post("Transfer-Encoding: chunked\r\n", body) }
    private static func each(_ texts: [String], _ name: String, _ request: (String) -> String) -> [Trick] {
        texts.map { Trick("\(name) \($0.debugDescription)", request($0)) }
    }
    private static let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

    private static let plain: [Trick] = [
        Trick("a GET", get("")),
        Trick("a POST", post("Content-Length: 5\r\n", "hello")),
        Trick("a POST without a body", post("Content-Length: 0\r\n")),
        Trick("a POST without framing", post("") + next),
        Trick("a GET with a body", get("Content-Length: 5\r\n", "hello") + next),
        Trick("a HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + next),
        Trick("a chunked POST", chunked("5\r\nhello\r\n0\r\n\r\n") + next),
        Trick(
            "fields of every kind", get("Accept: */*\r\nX-Empty:\r\nX-Long: a b\tc\r\nX-Obs: \u{80}\u{FF}\r\nAuthorization: Bearer t\r\n")),
        Trick("nothing", ""),
    ]

    private static let lengths: [Trick] = [
        Trick("Content-Length twice, equal", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello") + next),
        Trick("Content-Length twice, different", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!") + next),
        Trick("Content-Length as a list", post("Content-Length: 5, 5\r\n", "hello") + next),
        Trick("Content-Length as a list without a space", post("Content-Length: 5,5\r\n", "hello")),
        Trick("Content-Length with a plus", post("Content-Length: +5\r\n", "hello")),
        Trick("Content-Length with a minus", post("Content-Length: -5\r\n", "hello")),
        Trick("Content-Length in hexadecimal", post("Content-Length: 0x5\r\n", "hello")),
        Trick("Content-Length with leading zeros", post("Content-Length: 005\r\n", "hello") + next),
        Trick(
            "Content-Length with very many leading zeros", post("Content-Length: \(String(repeating: "0", count: 30))5\r\n", "hello") + next
        ),
        Trick("Content-Length with a space inside", post("Content-Length: 5 5\r\n", "hello")),
        Trick("Content-Length with a space behind", post("Content-Length: 5 \r\n", "hello") + next),
        Trick("Content-Length with a tab around", post("Content-Length:\t5\t \r\n", "hello") + next),
        Trick("Content-Length with a vertical tab", post("Content-Length: \u{B}5\r\n", "hello")),
        Trick("Content-Length empty", post("Content-Length:\r\n") + next),
        Trick("Content-Length of spaces", post("Content-Length:   \r\n") + next),
        Trick("Content-Length with a letter", post("Content-Length: 5a\r\n", "hello")),
        Trick("Content-Length with a point", post("Content-Length: 5.0\r\n", "hello")),
        Trick("Content-Length with an exponent", post("Content-Length: 5e0\r\n", "hello")),
        Trick("Content-Length in quotes", post("Content-Length: \"5\"\r\n", "hello")),
        Trick("Content-Length beyond 32 bits", post("Content-Length: 4294967301\r\n", "hello")),
        Trick("Content-Length beyond 64 bits", post("Content-Length: 18446744073709551621\r\n", "hello")),
        Trick("Content-Length with NUL", post("Content-Length: 5\0\r\n", "hello")),
        Trick("Content-Length with a space before the colon", post("Content-Length : 5\r\n", "hello") + next),
        Trick("Content-Length folded", post("Content-Length:\r\n 5\r\n", "hello") + next),
        Trick("Content-Length with an underscore", post("Content_Length: 5\r\n") + next),
        Trick("Content-Length in capitals", post("CONTENT-LENGTH: 5\r\n", "hello") + next),
        Trick("a body that is too short", post("Content-Length: 9\r\n", "hello")),
        Trick("a body that is longer than announced", post("Content-Length: 2\r\n", "hello")),
        Trick("a length in HTTP/1.0", "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello" + next),
    ]

    private static let encodings: [Trick] =
        each(
            [
                "chunked ", " chunked", "\tchunked\t", "CHUNKED", "Chunked", "chunked,", ",chunked", "chunked, chunked", "identity",
                "identity, chunked",
                "chunked, identity", "gzip", "gzip, chunked", "chunked, gzip", "xchunked", "chunkedx", "chunke", "\"chunked\"",
                "chunked;q=1",
                "chunked; a=b", "\u{B}chunked", "chunked\u{B}", "\u{A0}chunked", "chun ked", "", "chunked\0", "x, chunked",
            ], "Transfer-Encoding"
        ) { post("Transfer-Encoding: \($0)\r\n", "5\r\nhello\r\n0\r\n\r\n") + next } + [
            Trick("Transfer-Encoding twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n") + next),
            Trick(
                "Transfer-Encoding twice, the other first",
                post("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n") + next),
            Trick(
                "Transfer-Encoding twice, the other last",
                post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n") + next),
            Trick("Transfer-Encoding with a space before the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n") + next),
            Trick("Transfer-Encoding with a tab before the colon", post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n") + next),
            Trick("Transfer-Encoding folded", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n") + next),
            Trick("Transfer-Encoding behind a folded field", post("A: b\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n") + next),
            Trick("Transfer-Encoding behind a bare LF", post("A: b\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n") + next),
            Trick("Transfer-Encoding behind a bare CR", post("A: b\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n") + next),
            Trick("Transfer-Encoding with an underscore", post("Transfer_Encoding: chunked\r\n") + next),
            Trick("Transfer-Encoding in any case", post("tRANSFER-eNCODING: chunked\r\n", "0\r\n\r\n") + next),
            Trick(
                "Transfer-Encoding in HTTP/1.0",
                "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next),
            Trick(
                "Transfer-Encoding named by Connection",
                post("Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n", "0\r\n\r\n") + next),
            Trick("Transfer-Encoding of a GET", get("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n") + next),
        ]

    private static let both: [Trick] = [
        Trick("CL.TE", post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG") + next),
        Trick("TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n") + next),
        Trick("CL.0", post("Content-Length: 36\r\n", next) + next),
        Trick("0.CL", get("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n") + next),
        Trick("TE.TE with an unknown one", post("Transfer-Encoding: x\r\nContent-Length: 5\r\n", "0\r\n\r\n") + next),
        Trick("TE and CL in HTTP/1.0", "POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next),
    ]

    private static let chunks: [Trick] = each(
        [
            "5\r\nhello\r\n0\r\n\r\n", "05\r\nhello\r\n0\r\n\r\n", "00000005\r\nhello\r\n0\r\n\r\n", "000000005\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello\r\n000000\r\n\r\n", "5\r\nhello\r\n0000000000000000000\r\n\r\n", "A\r\n0123456789\r\n0\r\n\r\n",
            "a\r\n0123456789\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5\t\r\nhello\r\n0\r\n\r\n", "g\r\n", "\r\n", "5\nhello\n0\n\n", "5\r\nhello\n0\r\n\r\n", "5\rhello\r0\r\r",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello!\r\n0\r\n\r\n", "4\r\nhello\r\n0\r\n\r\n", "6\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n",
            "5\r\nhel",
            "ffffffff\r\n", "100000000\r\n", "ffffffffffffffff\r\n", "10000000000000000\r\n", "fffffffffffffffff0\r\n", "10001\r\n",
            "7fffffff\r\n",
            "8000000000000005\r\nhello\r\n0\r\n\r\n", "5;\r\nhello\r\n0\r\n\r\n", "5;a\r\nhello\r\n0\r\n\r\n",
            "5;a=b\r\nhello\r\n0;c=d\r\n\r\n",
            "5;a=\"b c\"\r\nhello\r\n0\r\n\r\n", "5;a=\"b\\\"c\"\r\nhello\r\n0\r\n\r\n", "5;a=\"b\r\nhello\r\n0\r\n\r\n",
            "5;a=\"b\"c\r\nhello\r\n0\r\n\r\n",
            "5;a=\r\nhello\r\n0\r\n\r\n", "5;=b\r\nhello\r\n0\r\n\r\n", "5 ;a=b\r\nhello\r\n0\r\n\r\n", "5; a=b\r\nhello\r\n0\r\n\r\n",
            "5;a =b\r\nhello\r\n0\r\n\r\n", "5;a= b\r\nhello\r\n0\r\n\r\n", "5;a=b ;c\r\nhello\r\n0\r\n\r\n",
            "5;a;b;c\r\nhello\r\n0\r\n\r\n",
            "5;a\nhello\r\n0\r\n\r\n", "5;a\rb\r\nhello\r\n0\r\n\r\n", "5;\u{80}\r\nhello\r\n0\r\n\r\n",
            "5;a=\"\u{80}\"\r\nhello\r\n0\r\n\r\n",
            "5;a\0\r\nhello\r\n0\r\n\r\n", "5,a\r\nhello\r\n0\r\n\r\n", "5\0\r\nhello\r\n0\r\n\r\n", "5\r\r\nhello\r\n0\r\n\r\n",
            "1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
            "0\r\n\r\n", "0\r\n\n", "0\n\r\n", "0\r\nX", "5;a=b,c\r\nhello\r\n0\r\n\r\n", "5;a=\"\u{1}\"\r\nhello\r\n0\r\n\r\n",
            "5;a=\"\\\u{1}\"\r\nhello\r\n0\r\n\r\n", "5;a=\"b\";c=\"d\"\r\nhello\r\n0\r\n\r\n", "5;a=\"\"\r\nhello\r\n0\r\n\r\n",
            "5;a=b=c\r\nhello\r\n0\r\n\r\n",
        ], "chunks"
    ) { chunked($0) + next }

    private static let trailers: [Trick] = each(
        [
            "Connection: close\r\n", "Connection: ,close\r\n", "Upgrade: h2c\r\n", "A: b\r\n", "A:b\r\nC: d\r\n", "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n", "Host: b\r\n", "A : b\r\n",
            "A b: c\r\n",
            ": b\r\n", "A\r\n", "A: b\n", "A: b\r\n folded\r\n", " A: b\r\n", "A: \0\r\n", "A: \u{80}\r\n", "A:\r\n", "A: b\u{7F}\r\n",
            "A: b\rc\r\n", "\u{80}: b\r\n",
            "A: b\u{1}\r\n",
        ], "trailer"
    ) { chunked("5\r\nhello\r\n0\r\n\($0)\r\n") + next }

    private static let lineEnds: [Trick] = [
        Trick("bare LF everywhere", "GET / HTTP/1.1\nHost: a\n\n" + next),
        Trick("bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        Trick("bare LF behind a field", "GET / HTTP/1.1\r\nHost: a\n\r\n"),
        Trick("bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n" + next),
        Trick("bare CR behind the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n"),
        Trick("bare CR in a value", get("A: b\rc\r\n")),
        Trick("bare CR in a name", get("A\rB: c\r\n")),
        Trick("bare CR before the empty line", get("A: b\r\n\r")),
        Trick("CR CR LF behind a value", get("A: b\r\r\n")),
        Trick("CR CR LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n"),
        Trick("LF CR", "GET / HTTP/1.1\n\rHost: a\n\r\n\r"),
        Trick("an empty line before the request", "\r\n" + next),
        Trick("many empty lines before the request", String(repeating: "\r\n", count: 100) + next),
        Trick("too many empty lines before the request", String(repeating: "\r\n", count: 200) + next),
        Trick("too many empty lines and no request", String(repeating: "\r\n", count: 200)),
        Trick("empty lines and no request", "\r\n\r\n\r\n"),
        Trick("an LF before the request", "\n" + next),
        Trick("a CR before the request", "\r" + next),
        Trick("a space before the request", " " + next),
        Trick("a tab before the request", "\t" + next),
        Trick("an empty line between requests", next + "\r\n" + next),
        Trick("an LF between requests", next + "\n" + next),
        Trick("an empty line behind a body", post("Content-Length: 5\r\n", "hello\r\n") + next),
        Trick("an LF behind a body", post("Content-Length: 5\r\n", "hello\n") + next),
        Trick("an LF behind the last request", next + "\n"),
        Trick("a CR behind the last request", next + "\r"),
        Trick("an empty line behind the last request", next + "\r\n"),
    ]

    private static let fields: [Trick] = each(
        [
            "A: b\r\n folded\r\n", "A: b\r\n\tfolded\r\n", "A:\r\n b\r\n", " A: b\r\n", "\tA: b\r\n", "A : b\r\n", "A\t: b\r\n",
            "A b: c\r\n", "A\r\n",
            ": b\r\n", ":\r\n", "A: b: c\r\n", "A:: b\r\n", "A:b\r\n", "A:  b  \r\n", "A:\t\tb\t\r\n", "A:\r\n", "A: \r\n", "A: \t \r\n",
            "A: b\tc\r\n", "A: b  c\r\n",
            "A\0: b\r\n", "A: b\0c\r\n", "A: \0\r\n", "A: b\u{1}c\r\n", "A: b\u{7F}c\r\n", "A: b\u{B}\r\n", "A: b\u{C}\r\n",
            "A: b\u{1F}\r\n", "A\u{7F}: b\r\n", "A\u{80}: b\r\n",
            "\u{C3}\u{A4}: b\r\n", "A: \u{C3}\u{A4}\r\n", "A: \u{FF}\u{FE}\r\n", "A: b\u{80}\r\n", "(A): b\r\n", "A/B: c\r\n", "A[]: b\r\n",
            "A{}: b\r\n", "A\"B: c\r\n", "A,B: c\r\n",
            "A;B: c\r\n", "A=B: c\r\n", "A@B: c\r\n", "A\\B: c\r\n", "A?B: c\r\n", "A<B>: c\r\n", "!#$%&'*+-.^_`|~09azAZ: b\r\n",
            "A: b\r\nA: c\r\na: d\r\n",
            "Authorization: a\r\nAuthorization: b\r\n", "Content-Type: a\r\ncontent-type: b\r\n", "A: \"b\r\n", "A: b\r\n\r\nB: c\r\n",
            "GET / HTTP/1.1\r\n",
            "A: 1234567\u{1F}9\r\n", "A: 12345678\u{7F}\r\n", "A: 1234567\t9012345\t\r\n",
            "A: 0123456789abcdef\u{80}\u{9F}\u{A0}\u{FF}\r\n", "A: \u{9F}\u{1}\r\n",
        ], "field"
    ) { get($0) + next }

    private static let hosts: [Trick] =
        [
            Trick("no Host", "GET / HTTP/1.1\r\n\r\n" + next), Trick("no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n" + next),
            Trick("Host twice", get("Host: b\r\n") + next), Trick("Host twice in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
            Trick("Host in the absolute form alone", "GET http://a/ HTTP/1.1\r\n\r\n" + next),
            Trick("another Host than in the absolute form", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n" + next),
        ]
        + each(
            [
                "a:80", "a b", "a b,c", "a,b", "a/b", "u@a", "a#b", "a?b", "[::1]:80", "[::1", "\u{80}", "", "a:b:c", "a\\b", "a\tb",
                "a\"b", "a|b", "127.0.0.1", "a;b", "a%20b", "a%", "a%2", "a%zz", ":", ":80", "a:", "a:x", "a:-1", "[]", "[::1]", "[::1]x",
                "[::1]:", "[v1.a:b]", "[a/b]", "::1", "a[b]", "*", "a..b", ".",
            ], "Host"
        ) { "GET / HTTP/1.1\r\nHost: \($0)\r\n\r\n" + next }

    private static let requestLines: [Trick] = each(
        [
            "get / HTTP/1.1", "Get / HTTP/1.1", "BREW / HTTP/1.1", "G<T / HTTP/1.1", "G\0T / HTTP/1.1", "GET", "GET ", "GET /", "GET / ",
            "GET  / HTTP/1.1", "GET /  HTTP/1.1",
            "GET / HTTP/1.1 ", "GET\t/ HTTP/1.1", "GET /\tHTTP/1.1", "GET / HTTP/1.1\t", "GET / x HTTP/1.1", " / HTTP/1.1", "/ HTTP/1.1",
            "HTTP/1.1 200 OK", "GETT / HTTP/1.1", "GE / HTTP/1.1",
            "PUT / HTTP/1.1", "PATCH / HTTP/1.1", "DELETE / HTTP/1.1", "TRACE / HTTP/1.1", "OPTIONS / HTTP/1.1", "PROPFIND / HTTP/1.1",
            "M-SEARCH / HTTP/1.1", "QUERY / HTTP/1.1",
            "PRI * HTTP/2.0", "SOURCE / HTTP/1.1", "DESCRIBE / HTTP/1.1", "!#$%&'*+-.^_`|~ / HTTP/1.1", "GET\u{80} / HTTP/1.1",
            "\u{16}\u{3}\u{1} / HTTP/1.1", "GET / HTTP/1.1;a",
            "CONNECT a:80 HTTP/1.1", "CONNECT / HTTP/1.1", "LINK / HTTP/1.1", "POST", "X", "PURGE / HTTP/1.1",
        ], "request line"
    ) { "\($0)\r\nHost: a\r\n\r\n" + next }

    private static let targets: [Trick] =
        each(
            [
                "*", "/*", "a", "//", "//a/b", "/a//b", "/a/../b", "/%", "/%zz", "/%00", "/a#b", "#", "/#", "/a?b#c", "?", "?a=b", "/?",
                "/?a=b&c", "/a?b?c", "/\u{80}", "/\u{C3}\u{A4}", "/\0", "/\u{7F}", "/\u{1}",
                "/a\\b", "/a|b", "/{a}", "/a\"b", "/<a>", "/a^b`c", "http://a", "http://a/", "http://a?b", "http://a/b?c=d", "HTTP://a/",
                "https://a/", "hTtPs://a/", "http://a:80/", "http://u@a/", "http://u:p@a/",
                "http://[::1]/", "http:///b", "http://", "http:/a", "http:a", "ftp://a/b", "ws://a/", "file:///a", "a:80", "a:b",
                "http://a#b", "http://a b/", "http://a,b/", "http:///", "mailto:a@b", "javascript:1", "://a/",
                "http://a/\u{80}", "http://%41/", "http://:80/", "http://a:x/", "http://a%/", "http://[::1", "http://[::1]x/", "http://?a",
            ], "target"
        ) { "GET \($0) HTTP/1.1\r\nHost: a\r\n\r\n" + next } + [
            Trick("OPTIONS of the server", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + next),
            Trick("OPTIONS of the server with a query", "OPTIONS *?a HTTP/1.1\r\nHost: a\r\n\r\n" + next),
            Trick("OPTIONS in the absolute form", "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n" + next),
            Trick("POST of the asterisk", "POST * HTTP/1.1\r\nHost: a\r\n\r\n" + next),
        ]

    private static let versions: [Trick] =
        each(
            [
                "HTTP/0.9", "HTTP/1.0", "HTTP/1.2", "HTTP/1.10", "HTTP/1.01", "HTTP/01.1", "HTTP/2.0", "HTTP/2", "HTTP/3.0", "HTTP/9.9",
                "HTTP/1", "HTTP/1.", "HTTP/.1", "HTTP/11", "HTTP1.1", "http/1.1",
                "Http/1.1", "HTTP /1.1", "HTTP/ 1.1", "HTTP/1 .1", "HTTP/1.1\0", "HTTP/-1.1", "HTTP/1,1", "RTSP/1.0", "RTSP/1.1", "ICE/1.0",
                "XTTP/1.1", "HTTPS/1.1", "",
            ], "version"
        ) { "GET / \($0)\r\nHost: a\r\nConnection: keep-alive\r\n\r\n" + next } + [
            Trick("HTTP/0.9", "GET /\r\n" + next), Trick("SOURCE of ICE", "SOURCE / ICE/1.0\r\nHost: a\r\n\r\n" + next),
            Trick("DESCRIBE of RTSP", "DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n" + next), Trick("HTTP/1.0", "GET / HTTP/1.0\r\n\r\n" + next),
        ]

    private static let connections: [Trick] =
        each(
            [
                "close", "Close", "CLOSE", "keep-alive", "Keep-Alive", "close, keep-alive", "keep-alive, close", "close,", ",close",
                ", ,close", "x, close", "x,close,y", "close x", "x close", "closed", "xclose",
                "close;q=1", "\"close\"", "", "\tclose\t", "te,\tclose", "te ,close", "keep-alive\tclose", "upgrade", "close\u{80}",
                "keep-alive, upgrade", "keep-alive;q=1", "clo se", "close , te", "close\t", "te,\tkeep-alive", "keep-alive\t",
            ], "Connection"
        ) {
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: \($0)\r\n\r\nGET / HTTP/1.0\r\nConnection: \($0)\r\n\r\n" + next
        } + [
            Trick("Connection twice", get("Connection: te\r\nConnection: close\r\n") + next),
            Trick("Connection twice, close first", get("Connection: close\r\nConnection: keep-alive\r\n") + next),
            Trick("Connection twice in HTTP/1.0", "GET / HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n" + next),
            Trick("Proxy-Connection", get("Proxy-Connection: close\r\n") + next),
            Trick("Keep-Alive", get("Keep-Alive: timeout=5\r\n") + next),
            Trick("Upgrade", get("Connection: Upgrade\r\nUpgrade: h2c\r\n") + next),
            Trick("Upgrade without Connection", get("Upgrade: websocket\r\n") + next),
            Trick("Upgrade with a body", post("Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n", "hello") + next),
            Trick(
                "Upgrade with chunks",
                post("Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n") + next),
            Trick("Upgrade to HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ]

    private static let expectations: [Trick] = [
        Trick("Expect", post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello") + next),
        Trick("Expect with chunks", post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n") + next),
        Trick("Expect in any case", post("expect: 100-CONTINUE\r\nContent-Length: 5\r\n", "hello") + next),
        Trick("Expect with white space", post("Expect: \t100-continue \r\nContent-Length: 5\r\n", "hello") + next),
        Trick("Expect without a body", get("Expect: 100-continue\r\n") + next),
        Trick("Expect twice", post("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n", "hello") + next),
        Trick("Expect of something", post("Expect: 200-ok\r\nContent-Length: 5\r\n", "hello") + next),
        Trick("Expect of a list", post("Expect: 100-continue, x\r\nContent-Length: 5\r\n", "hello") + next),
        Trick("Expect of nothing", post("Expect:\r\nContent-Length: 5\r\n", "hello") + next),
        Trick("Expect in HTTP/1.0", "POST / HTTP/1.0\r\nExpect: x\r\nContent-Length: 5\r\n\r\nhello"),
    ]

    private static let limits: [Trick] = [
        Trick("a head of 16 KiB", get("A: \(String(repeating: "a", count: 16_384 - get("A: \r\n").utf8.count))\r\n") + next),
        Trick("a head beyond 16 KiB", get("A: \(String(repeating: "a", count: 16_385 - get("A: \r\n").utf8.count))\r\n") + next),
        Trick("a target beyond 16 KiB", "GET /\(String(repeating: "a", count: 17_000)) HTTP/1.1\r\nHost: a\r\n\r\n" + next),
        Trick("white space beyond 16 KiB", get("A:\(String(repeating: " ", count: 17_000))b\r\n") + next),
        Trick("128 fields", get(String(repeating: "A: b\r\n", count: 127)) + next),
        Trick("129 fields", get(String(repeating: "A: b\r\n", count: 128)) + next),
        Trick("300 fields", get(String(repeating: "A: b\r\n", count: 300)) + next),
        Trick("a body of 64 KiB", post("Content-Length: 65536\r\n", String(repeating: "a", count: 65_536)) + next),
        Trick("a body beyond 64 KiB", post("Content-Length: 65537\r\n", String(repeating: "a", count: 65_537)) + next),
        Trick("chunks of 64 KiB", chunked("10000\r\n\(String(repeating: "a", count: 65_536))\r\n0\r\n\r\n") + next),
        Trick("chunks beyond 64 KiB", chunked("10000\r\n\(String(repeating: "a", count: 65_536))\r\n1\r\na\r\n0\r\n\r\n") + next),
        Trick("chunks of one byte", chunked(String(repeating: "1\r\na\r\n", count: 500) + "0\r\n\r\n") + next),
        Trick("a chunk extension beyond 16 KiB", chunked("1;\(String(repeating: "a", count: 17_000))\r\na\r\n0\r\n\r\n") + next),
        Trick("trailers beyond 16 KiB", chunked("0\r\n\(String(repeating: "A: bbbbbbbbbbbb\r\n", count: 1_100))\r\n") + next),
        Trick("trailers within 16 KiB", chunked("0\r\n\(String(repeating: "A: bbbbbbbbbbbb\r\n", count: 50))\r\n") + next),
    ]

    private static let pipelines: [Trick] = [
        Trick("two requests", next + next), Trick("ten requests", String(repeating: next, count: 10)),
        Trick("a body that looks like a request", post("Content-Length: \(next.utf8.count)\r\n", next) + next),
        Trick("chunks that look like requests", chunked("\(String(next.utf8.count, radix: 16))\r\n\(next)\r\n0\r\n\r\n") + next),
        Trick("a malformed one in the middle", next + "GET / HTTP/1.1\r\nA B: c\r\n\r\n" + next),
        Trick("a last one in the middle", next + get("Connection: close\r\n") + next),
        Trick("an unfinished one at the end", next + "GET / HTTP/1.1\r\nHost: a\r\n"),
        Trick("bodies and none, mixed", post("Content-Length: 5\r\n", "hello") + get("") + chunked("5\r\nhello\r\n0\r\n\r\n") + next),
    ]
}
