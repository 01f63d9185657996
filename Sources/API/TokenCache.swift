import Commerce

/// Remembers verified tokens of one event loop, so that a busy client's token is verified once.
///
/// Confined to its loop. Keyed by the whole `Authorization` value, so only a byte-equal token is found again. Two generations bound
/// it: when the young one is full, the old one is forgotten and the young one grows old; what is asked for again moves back.
/// Refused tokens are not remembered: they must not push out good ones.
struct TokenCache {
    /// A token as it is looked up: found by its last bytes, which are its signature's, and then compared as a whole.
    private struct Key: Hashable {
        let authorization: String

        /// Strings are equal also where one has the Kelvin sign for a K; only as many bytes make the bytes of ASCII equal.
        static func == (left: Key, right: Key) -> Bool {
            left.authorization.utf8.count == right.authorization.utf8.count && left.authorization == right.authorization
        }

        func hash(into hasher: inout Hasher) {
            let end = authorization.utf8.withContiguousStorageIfAvailable { bytes in
                bytes.suffix(8).reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
            }
            if let end { hasher.combine(end) } else { hasher.combine(authorization) }
        }
    }

    private var young: [Key: VerifiedToken] = [:]
    private var old: [Key: VerifiedToken] = [:]
    private let generationSize: Int

    /// About 16 MB per loop when every place is taken by a token of 170 bytes.
    static let defaultGenerationSize = 16_384

    init(generationSize: Int = TokenCache.defaultGenerationSize) {
        self.generationSize = generationSize
    }

    /// Tokens remembered now.
    var count: Int { young.count + old.count }

    mutating func find(_ authorization: String) -> VerifiedToken? {
        let key = Key(authorization: authorization)
        if let token = young[key] { return token }
        guard let token = old.removeValue(forKey: key) else { return nil }
        insert(token, for: authorization)
        return token
    }

    mutating func insert(_ token: VerifiedToken, for authorization: String) {
        if young.count >= generationSize {
            // With their room kept: a table that grows hashes all its tokens again and again.
            swap(&old, &young)
            young.removeAll(keepingCapacity: true)
        }
        young[Key(authorization: authorization)] = token
    }
}
