import Commerce
import Crypto
import Foundation
import HTTPServer
import JSON
import NIOCore
import Synchronization

/// Examines the tokens of the issuer with the keys of one moment.
///
/// The check of a signature takes as long as several requests, so it does not run on an event loop. What runs there is cheap: the
/// token's form, its header, and whether its key is known. Its claims are read only after the signature was verified.
final class IssuerTokens: Sendable {
    let keys: IssuerKeySet
    let rules: IssuerRules

    init(keys: IssuerKeySet, rules: IssuerRules) { (self.keys, self.rules) = (keys, rules) }

    /// Whether a key is in use; one that has left the set is not, although a check with it may be running.
    func isInUse(_ key: IssuerKey) -> Bool { keys.keys.contains { $0 === key } }

    /// What is left to do with a token.
    enum Examination {
        /// It was checked for another loop, or is no longer in the cache of this one.
        case known(VerifiedToken)
        case refused(TokenRefusals.Reason)
        /// It names a key that is not in the set; a newer set may have it.
        case unknownKey
        /// Its signature has to be checked.
        case check(UncheckedToken)
    }

    /// Examines a token that the loop's cache does not have.
    func examine(_ token: BearerToken, from source: IPAddress, headers: RecentHeaders, checked: CheckedTokens) -> Examination {
        guard let parts = token.parts else { return .refused(.malformed) }
        let key: IssuerKey
        if let known = headers.find(parts.header) {
            key = known
        } else {
            switch IssuerHeader.read(parts.header) {
            case .failure(let fault): return .refused(fault.reason)
            case .success(let header):
                switch keys.match(header.algorithm, id: header.keyID) {
                case .key(let match): key = match
                case .unknown: return .unknownKey
                case .otherAlgorithm: return .refused(.algorithm)
                case .ambiguous: return .refused(.unknownKey)
                }
            }
        }
        guard token.signature.count == key.signatureLength else { return .refused(.signature) }
        let digest = TokenDigest(of: token.bytes)
        if let known = checked.find(digest), isInUse(known.key) {
            switch known.verdict {
            case .verified(let token): return .known(token)
            case .refused(let reason): return .refused(reason)
            }
        }
        return .check(
            UncheckedToken(
                bytes: Array(token.bytes), headerLength: parts.header.count, signedLength: token.signed.count, key: key, rules: rules,
                digest: digest, source: source))
    }
}

/// A token whose signature is to be checked, with all that the check needs.
struct UncheckedToken: Sendable {
    let bytes: [UInt8]
    let headerLength: Int
    let signedLength: Int
    let key: IssuerKey
    let rules: IssuerRules
    let digest: TokenDigest
    let source: IPAddress

    /// Values of the largest payload.
    private static let maximumValues = 2048

    /// Checks the signature, then reads the claims. On any thread.
    func verdict() -> IssuerVerdict {
        bytes.withUnsafeBytes { bytes in
            let signed = UnsafeRawBufferPointer(rebasing: bytes[..<signedLength])
            guard let signature = Base64URL.decode(UnsafeRawBufferPointer(rebasing: bytes[(signedLength + 1)...])),
                signature.withUnsafeReadableBytes({ key.isValid($0, of: signed) })
            else { return .refused(.signature) }
            let payload = UnsafeRawBufferPointer(rebasing: signed[(headerLength + 1)...])
            guard let document = Base64URL.decode(payload),
                let claims = try? JSONParser.parse(document, maximumValues: Self.maximumValues)
            else { return .refused(.claims) }
            return rules.read(claims, keyNumber: key.number)
        }
    }

    /// Calls `body` with the token as a request holds it, for a cache.
    func withToken(_ body: (BearerToken) -> Void) {
        bytes.withUnsafeBytes { body(BearerToken(bytes: $0, signedLength: signedLength)) }
    }

    /// Calls `body` with the encoded header.
    func withHeader(_ body: (UnsafeRawBufferPointer) -> Void) {
        bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<headerLength])) }
    }
}

/// SHA-256 of a whole token.
struct TokenDigest: Hashable, Sendable {
    private let words: InlineArray<4, UInt64>

    init(of token: UnsafeRawBufferPointer) {
        var hash = SHA256()
        hash.update(bufferPointer: token)
        words = hash.finalize().withUnsafeBytes { bytes in
            InlineArray { bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) }
        }
    }

    static func == (left: TokenDigest, right: TokenDigest) -> Bool {
        left.words[0] == right.words[0] && left.words[1] == right.words[1] && left.words[2] == right.words[2]
            && left.words[3] == right.words[3]
    }

    /// The digest is evenly distributed, and what collides in one word is still hashed with the process' seed.
    func hash(into hasher: inout Hasher) { hasher.combine(words[0]) }
}

/// The tokens that were checked last and have a good signature, so that a token that several loops see is checked once. Those that are
/// refused for their claims are among them: repeating one costs its sender more than the service.
///
/// A mutex guards them; it is taken only for tokens that a loop does not know. Two generations bound their number, as in ``TokenCache``.
final class CheckedTokens: Sendable {
    struct Entry: Sendable {
        let verdict: IssuerVerdict
        let key: IssuerKey
    }

    private struct Generations {
        var young: [TokenDigest: Entry] = [:]
        var old: [TokenDigest: Entry] = [:]
    }

    /// Tokens of a generation, which take some 3 MB.
    private static let capacity = 1 << 15
    private let generations = Mutex(Generations())

    func find(_ digest: TokenDigest) -> Entry? {
        generations.withLock { $0.young[digest] ?? $0.old[digest] }
    }

    func insert(_ entry: Entry, for digest: TokenDigest) {
        generations.withLock { generations in
            if generations.young.count >= Self.capacity { (generations.old, generations.young) = (generations.young, [:]) }
            generations.young[digest] = entry
        }
    }
}
