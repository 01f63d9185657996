import Commerce
import Testing

@testable import Services

@Suite("Retry-After")
struct RetryAfterTests {
    @Test(
        "seconds and dates are read",
        arguments: [
            ("0", 0), ("120", 120), ("  7 ", 7), ("999999999", 999_999_999), ("99999999999999999999999", 999_999_999),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 60), ("Sun, 06 Nov 1994 08:48:37 GMT", 0), ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
            ("Mon, 07 Nov 1994 08:48:37 GMT", 86_400), ("Thu, 01 Dec 1994 08:48:37 GMT", 25 * 86_400),
        ] as [(String, Int64)])
    func read(text: String, seconds: Int64) throws {
        let now = try #require(Instant(rfc3339: "1994-11-06T08:48:37Z"))
        #expect(RetryAfter.pause(text, at: now) == .seconds(seconds))
    }

    @Test(
        "what is neither is no pause",
        arguments: [
            "", " ", "-1", "1.5", "soon", "١٢", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 KST",
            "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z",
        ])
    func unreadable(text: String) {
        #expect(RetryAfter.pause(text, at: Instant(milliseconds: 0)) == nil)
    }
}
