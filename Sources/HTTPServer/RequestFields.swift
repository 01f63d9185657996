import NIOHTTP1

/// The header fields the server and its handlers look at, taken in one pass over all of them.
struct RequestFields {
    var authorization: String?
    var contentType: String?
    var idempotencyKey: String?
    var expect: String?
    var contentLength: String?
    var hostCount = 0
    var contentLengthCount = 0
    var transferEncodingCount = 0
    var transferEncoding: String?
    var asksForUpgrade = false
    /// Bytes of all fields as sent, with the colon, one space and the line end of each.
    var byteCount = 0

    init(_ headers: HTTPHeaders) {
        for (name, value) in headers {
            byteCount += name.utf8.count + value.utf8.count + 4
            // The length tells nearly all other names apart before any byte is compared.
            switch name.utf8.count {
            case 4 where name.matches("host"):
                hostCount += 1
            case 6 where name.matches("expect"):
                expect = RequestFields.joined(expect, value)
            case 7 where name.matches("upgrade"):
                asksForUpgrade = true
            case 12 where name.matches("content-type"):
                contentType = RequestFields.joined(contentType, value)
            case 13 where name.matches("authorization"):
                authorization = RequestFields.joined(authorization, value)
            case 14 where name.matches("content-length"):
                contentLength = value
                contentLengthCount += 1
            case 15 where name.matches("idempotency-key"):
                idempotencyKey = RequestFields.joined(idempotencyKey, value)
            case 17 where name.matches("transfer-encoding"):
                transferEncoding = value
                transferEncodingCount += 1
            default:
                break
            }
        }
    }

    /// A field sent twice has the value of both with a comma between (RFC 9110 section 5.3), so a second one is never silently preferred.
    private static func joined(_ earlier: String?, _ value: String) -> String {
        guard let earlier else { return value }
        return earlier + ", " + value
    }
}

extension String {
    /// Whether this equals the given lowercase ASCII text, the case of ASCII letters aside.
    func matches(_ lowercase: StaticString) -> Bool {
        guard utf8.count == lowercase.utf8CodeUnitCount else { return false }
        let expected = lowercase.utf8Start
        var text = self
        return text.withUTF8 { bytes in
            for (offset, byte) in bytes.enumerated() {
                let folded = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
                guard folded == expected[offset] else { return false }
            }
            return true
        }
    }
}
