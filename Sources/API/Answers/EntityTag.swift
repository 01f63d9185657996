import Crypto
import HTTPServer
import NIOCore

/// A strong entity tag (RFC 9110 section 8.8.3), a digest of the resource's representation: it changes whenever that changes.
///
/// Every service makes the same tag of the same state, also after a restart.
struct EntityTag: Sendable, Equatable {
    /// The value of the `ETag` field, with its quotation marks.
    let text: String

    /// Bytes of the digest that a tag shows: 96 bits, so that no two states of a resource share one by accident.
    private static let byteCount = 12

    init(of body: ByteBuffer) {
        var hash = SHA256()
        body.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        let digits = hash.finalize().prefix(Self.byteCount).map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }
        text = "\"" + digits.joined() + "\""
    }
}

/// The condition of an `If-Match` or `If-None-Match` field (RFC 9110 sections 13.1.1 and 13.1.2).
enum EntityTagCondition: Sendable, Equatable {
    /// `*`: the resource exists.
    case exists
    /// Any of these tags, each with whether it is weak.
    case anyOf([Tag])

    struct Tag: Sendable, Equatable {
        let text: String
        let isWeak: Bool
    }

    /// Reads the value of a field; nil where it is neither `*` nor a list of entity tags.
    init?(_ field: String) {
        if field == "*" {
            self = .exists
            return
        }
        var tags: [Tag] = []
        var rest = Substring(field)
        while true {
            // A list may have empty elements (RFC 9110 section 5.6.1).
            rest = rest.drop { $0 == " " || $0 == "\t" || $0 == "," }
            if rest.isEmpty { break }
            let isWeak = rest.hasPrefix("W/")
            if isWeak { rest = rest.dropFirst(2) }
            guard rest.first == "\"", let end = rest.dropFirst().firstIndex(of: "\"") else { return nil }
            let text = rest[...end]
            guard text.utf8.allSatisfy({ $0 >= 0x21 && $0 != 0x7F }) else { return nil }
            tags.append(Tag(text: String(text), isWeak: isWeak))
            rest = rest[rest.index(after: end)...].drop { $0 == " " || $0 == "\t" }
            guard rest.isEmpty || rest.first == "," else { return nil }
        }
        if tags.isEmpty { return nil }
        self = .anyOf(tags)
    }

    /// The strong comparison, for `If-Match`: a weak tag matches nothing.
    func matches(_ tag: EntityTag) -> Bool {
        switch self {
        case .exists: true
        case .anyOf(let tags): tags.contains { !$0.isWeak && $0.text == tag.text }
        }
    }

    /// The weak comparison, for `If-None-Match`: whether a tag is weak makes no difference.
    func matchesWeakly(_ tag: EntityTag) -> Bool {
        switch self {
        case .exists: true
        case .anyOf(let tags): tags.contains { $0.text == tag.text }
        }
    }
}

extension HTTPResponse {
    /// A 200 that shows one resource, with its entity tag. A class, so that passing it on copies one reference.
    final class Representation: Sendable {
        let tag: EntityTag
        let response: HTTPResponse

        init(_ body: ByteBuffer) {
            tag = EntityTag(of: body)
            response = .json(body, headers: [("etag", tag.text)])
        }
    }
}
