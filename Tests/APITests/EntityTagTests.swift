import NIOCore
import Testing

@testable import API

@Suite("Entity tags")
struct EntityTagTests {
    private let tag = EntityTag(of: ByteBuffer(string: "{}"))

    @Test("a tag is quoted, follows the bytes, and is the same in every process")
    func tags() {
        // The first 12 bytes of SHA-256 of "{}".
        #expect(tag.text == "\"44136fa355b3678a1146ad16\"")
        #expect(EntityTag(of: ByteBuffer(string: "{} ")) != tag)
    }

    @Test(
        "If-Match takes any of its strong tags, and If-None-Match weak ones too",
        arguments: [
            ("*", true, true), ("$", true, true), ("W/$", false, true), ("\"a\", $", true, true), (" ,$ ,", true, true),
            ("\"a,b\",$", true, true),
            ("\"a\"", false, false), ("\"\"", false, false), ("W/\"a\", W/\"b\"", false, false),
        ])
    func conditions(field: String, matches: Bool, matchesWeakly: Bool) throws {
        let condition = try #require(EntityTagCondition(field.replacing("$", with: tag.text)))
        #expect(condition.matches(tag) == matches && condition.matchesWeakly(tag) == matchesWeakly)
    }

    @Test(
        "what is no list of entity tags is no condition",
        arguments: ["", ",", "a", "\"a", "a\"", "\"a\" \"b\"", "w/\"a\"", "*, \"a\"", "\"a b\""])
    func malformed(field: String) {
        #expect(EntityTagCondition(field) == nil)
    }
}
