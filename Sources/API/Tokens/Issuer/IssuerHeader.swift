import Foundation
import JSON

/// The header of an issuer's token: which key is to verify it.
///
/// It is read before the signature is verified, because it names the key. So it is short, of few values, and read for these alone: no
/// key, certificate or address in it is ever used.
struct IssuerHeader {
    let algorithm: TokenAlgorithm
    let keyID: String?

    /// Characters of the longest encoded header.
    private static let longest = 2048

    /// Reads an encoded header.
    static func read(_ encoded: UnsafeRawBufferPointer) -> Result<IssuerHeader, Fault> {
        guard encoded.count <= longest, let bytes = Base64URL.decode(encoded),
            case .object(let members) = try? JSONParser.parse(bytes, maximumDepth: 4, maximumValues: 64)
        else { return .failure(Fault(reason: .malformed)) }
        // `none` and HS256 end here. An extension that is marked critical must be understood (RFC 7515 section 4.1.11), and none is; `b64`
        // changes what is signed (RFC 7797).
        guard case .string(let name)? = members["alg"], let algorithm = TokenAlgorithm(name: name), members["crit"] == nil,
            members["b64"] == nil, isToken(members["typ"])
        else { return .failure(Fault(reason: .algorithm)) }
        switch members["kid"] {
        case nil: return .success(IssuerHeader(algorithm: algorithm, keyID: nil))
        case .string(let id) where (1...IssuerKeySet.longestKeyID).contains(id.utf8.count):
            return .success(IssuerHeader(algorithm: algorithm, keyID: id))
        default: return .failure(Fault(reason: .malformed))
        }
    }

    /// Whether the type is that of an access token, or not stated. Something that the issuer signed for another purpose, such as a logout
    /// message, is no token (RFC 8725 section 3.11).
    private static func isToken(_ type: JSONValue?) -> Bool {
        switch type {
        case nil: true
        case .string(let name): ["jwt", "at+jwt", "application/at+jwt"].contains(name.lowercased())
        default: false
        }
    }

    struct Fault: Error, Equatable {
        let reason: TokenRefusals.Reason
    }
}

/// The encoded headers of the last verified tokens with their keys. An issuer writes the same header into each token of a key, so that
/// few headers need to be read as JSON.
///
/// Confined to its loop. Only headers of verified tokens are added, because others would displace them.
struct RecentHeaders {
    private var entries: [(bytes: [UInt8], key: IssuerKey)] = []
    private var next = 0

    private static let capacity = 8

    func find(_ header: UnsafeRawBufferPointer) -> IssuerKey? {
        guard let base = header.baseAddress else { return nil }
        return entries.first { $0.bytes.count == header.count && memcmp($0.bytes, base, header.count) == 0 }?.key
    }

    /// Adds a header that ``find(_:)`` did not find.
    mutating func insert(_ header: UnsafeRawBufferPointer, _ key: IssuerKey) {
        if entries.count < Self.capacity { return entries.append((Array(header), key)) }
        entries[next] = (Array(header), key)
        next = (next + 1) % Self.capacity
    }

    /// Forgets all, for another set of keys.
    mutating func removeAll() { (entries, next) = ([], 0) }
}
