import Commerce
import Testing

@Suite("Coupon codes")
struct CouponCodeTests {
    @Test("a code has 16 characters of Crockford's alphabet, and each of the 32 turns up in each place")
    func alphabet() {
        let alphabet = Set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
        var seen = [Set<Character>](repeating: [], count: CouponCode.length)
        for number in 0..<2_000 {
            let text = CouponCode.random(at: Instant(milliseconds: Int64(number) * 1_021)).description
            #expect(text.count == 16)
            for (place, character) in text.enumerated() { seen[place].insert(character) }
        }
        #expect(seen.allSatisfy { $0 == alphabet })
    }

    @Test("100,000 codes of one moment begin alike, are all different, and each is read back as itself")
    func unique() {
        let codes = (0..<100_000).map { _ in CouponCode.random(at: Instant(milliseconds: 1_700_000_000_123)) }
        #expect(Set(codes.map { $0.description.prefix(4) }).count == 1)
        #expect(Set(codes).count == codes.count)
        #expect(codes.prefix(1_000).allSatisfy { CouponCode($0.description) == $0 })
    }

    @Test("codes of later moments follow in the order of the index, until the count starts over after 2^20 milliseconds")
    func inOrder() {
        let start: Int64 = (1_700_000_000_000 >> 20) << 20
        let codes = [0, 1, 31, 32, 1_000, 1 << 19, (1 << 20) - 1].map {
            CouponCode.random(at: Instant(milliseconds: start + $0)).description
        }
        #expect(codes.map { $0.prefix(4) } == codes.map { $0.prefix(4) }.sorted())
        #expect(CouponCode.random(at: Instant(milliseconds: start + (1 << 20))).description.hasPrefix("0000"))
        #expect(CouponCode.random(at: Instant(milliseconds: -1)).description.hasPrefix("ZZZZ"))
    }

    @Test(
        "what is no code is nil",
        arguments: [
            "", "0123456789ABCDE", "0123456789ABCDEFG", "0123456789ABCDEI", "0123456789ABCDEO", "0123456789abcdef", "0123456789ABCDE ",
            "０123456789ABCD",
        ])
    func refused(text: String) {
        #expect(CouponCode(text) == nil)
    }
}

@Suite("Order numbers")
struct OrderNumberTests {
    @Test(
        "an order number is the business day and at least six digits of a counter",
        arguments: [(1, "20261120-000001"), (123, "20261120-000123"), (999_999, "20261120-999999"), (1_000_000, "20261120-1000000")]
            as [(Int64, String)])
    func written(counter: Int64, text: String) throws {
        #expect(OrderNumber(day: try #require(BusinessDay("2026-11-20")), counter: counter).description == text)
    }
}

@Suite("Display names")
struct DisplayNameTests {
    @Test(
        "a name of 1 to 200 code points of any script is good",
        arguments: [
            "a", "홍길동", "🍵", "a b", " a", "O'Neill & Söhne <b>", String(repeating: "가", count: 200), "e\u{301}", "\u{200D}x", "👩‍👩‍👧",
            "\u{0378}",
        ])
    func good(name: String) {
        #expect(DisplayName.fault(in: name) == nil)
    }

    @Test(
        "an empty, blank or longer name and one with control characters is refused",
        arguments: [
            "", " ", "\u{3000}\u{00A0}", String(repeating: "x", count: 201), "a\u{0}b", "a\nb", "a\u{7F}b", "a\u{85}b", "a\u{2028}b",
            "a\u{2029}b", "\t",
        ])
    func refused(name: String) {
        #expect(DisplayName.fault(in: name) != nil)
    }

    @Test("length counts code points, not what they look like together")
    func codePoints() {
        #expect(DisplayName.fault(in: String(repeating: "e\u{301}", count: 100)) == nil)
        #expect(DisplayName.fault(in: String(repeating: "e\u{301}", count: 101)) != nil)
    }
}
