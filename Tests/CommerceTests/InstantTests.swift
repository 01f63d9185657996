import Commerce
import Foundation
import TestSupport
import Testing

@Suite("Instants")
struct InstantTests {
    @Test(
        "an instant is written in UTC with milliseconds and read back as itself",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1, "1970-01-01T00:00:00.001Z"), (1_795_143_845_678, "2026-11-20T03:04:05.678Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func written(milliseconds: Int64, text: String) {
        #expect(Instant(milliseconds: milliseconds).description == text)
        #expect(Instant(rfc3339: text)?.milliseconds == milliseconds)
    }

    @Test("writing agrees with Foundation for every time in reach")
    func againstFoundation() throws {
        var random = SeededGenerator()
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        for _ in 0..<2_000 {
            // Whole seconds, since a Date's double may fall a hair short of a millisecond.
            let seconds = Int64.random(in: 0...253_402_300_799, using: &random)
            let text = Date(timeIntervalSince1970: Double(seconds)).formatted(style)
            #expect(Instant(milliseconds: seconds * 1000).description == text, "\(random)")
            #expect(Instant(rfc3339: text)?.milliseconds == seconds * 1000, "\(random): \(text)")
        }
    }

    @Test(
        "any offset, fraction and separator of RFC 3339 is read",
        arguments: [
            ("2026-11-20T12:04:05.678+09:00", "2026-11-20T03:04:05.678Z"), ("2026-11-19T22:04:05.678-05:00", "2026-11-20T03:04:05.678Z"),
            ("2026-11-20t03:04:05z", "2026-11-20T03:04:05.000Z"), ("2026-11-20 03:04:05Z", "2026-11-20T03:04:05.000Z"),
            ("2026-11-20T03:04:05.6Z", "2026-11-20T03:04:05.600Z"), ("2026-11-20T03:04:05.67Z", "2026-11-20T03:04:05.670Z"),
            ("2026-11-20T03:04:05.6789999999999999999999Z", "2026-11-20T03:04:05.678Z"),
            ("2026-11-20T03:04:05-00:00", "2026-11-20T03:04:05.000Z"),
            ("2026-11-20T23:59:59.999+23:59", "2026-11-20T00:00:59.999Z"), ("1970-01-01T05:30:00+05:30", "1970-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"), ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"),
        ])
    func read(text: String, means: String) {
        #expect(Instant(rfc3339: text)?.description == means)
    }

    @Test(
        "what is no RFC 3339 date-time, or no time in the years 1970 to 9999, is nil",
        arguments: [
            "", "now", "2026-11-20", "2026-11-20T03:04:05", "2026-11-20T03:04Z", "20261120T030405Z", "2026-11-20T03:04:05+0900",
            "2026-11-20T03:04:05+09", "2026-11-20T03:04:05.Z", "2026-11-20T03:04:05,5Z", "2026-11-20T24:00:00Z", "2026-11-20T03:60:00Z",
            "2026-12-31T23:59:60Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z", "2026-11-00T00:00:00Z", "2026-11-20T03:04:05Z ", " 2026-11-20T03:04:05Z", "2026-11-20T03:04:05ZZ",
            "+026-11-20T03:04:05Z", "-026-11-20T03:04:05Z", "2026-1-20T03:04:05Z", "２026-11-20T03:04:05Z", "2026-11-20T03:04:05+24:00",
            "2026-11-20T03:04:05+09:60", "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
            "0000-01-01T00:00:00Z", "2026-11-20T03:04:05\u{0}Z", "2026-11-20T03:04:05.5", "2026-11-20T0x:04:05Z",
        ])
    func refused(text: String) {
        #expect(Instant(rfc3339: text) == nil)
    }

    @Test("one wrong byte anywhere never crashes the reader, and what it then reads it writes alike")
    func everyByte() {
        let text = Array("2026-11-20T03:04:05.678+09:00".utf8)
        for position in text.indices {
            for byte in UInt8.min...UInt8.max {
                var changed = text
                changed[position] = byte
                guard let instant = Instant(rfc3339: String(decoding: changed, as: UTF8.self)) else { continue }
                #expect(Instant(rfc3339: instant.description) == instant)
            }
        }
    }

    @Test("an instant moves within the years 1970 to 9999 and no further")
    func advanced() {
        let last = Instant(milliseconds: 253_402_300_799_999)
        #expect(Instant(milliseconds: 5).advanced(byMilliseconds: -5) == Instant(milliseconds: 0))
        #expect(Instant(milliseconds: 5).advanced(byMilliseconds: -6) == nil)
        #expect(last.advanced(byMilliseconds: 0) == last)
        #expect(last.advanced(byMilliseconds: 1) == nil)
        #expect(last.advanced(byMilliseconds: .max) == nil)
        #expect(Instant(milliseconds: 0).advanced(byMilliseconds: .min) == nil)
    }
}
