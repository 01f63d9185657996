import Commerce

/// Remembers verified tokens of one event loop, so that a busy client's token is verified once.
///
/// Confined to its loop. Keyed by the whole `Authorization` value, so only a byte-equal token is found again. Two generations bound
/// it: when the young one is full, the old one is forgotten and the young one grows old; what is asked for again moves back.
/// Refused tokens are not remembered: they must not push out good ones.
struct TokenCache {
    private var young: [String: VerifiedToken] = [:]
    private var old: [String: VerifiedToken] = [:]
    private let generationSize: Int

    /// About 16 MB per loop when every place is taken by a token of 170 bytes.
    static let defaultGenerationSize = 16_384

    init(generationSize: Int = TokenCache.defaultGenerationSize) {
        self.generationSize = generationSize
    }

    /// Tokens remembered now.
    var count: Int { young.count + old.count }

    mutating func find(_ authorization: String) -> VerifiedToken? {
        if let token = young[authorization] { return token }
        guard let token = old.removeValue(forKey: authorization) else { return nil }
        insert(token, for: authorization)
        return token
    }

    mutating func insert(_ token: VerifiedToken, for authorization: String) {
        if young.count >= generationSize {
            // With their room kept: a table that grows hashes all its tokens again and again.
            swap(&old, &young)
            young.removeAll(keepingCapacity: true)
        }
        young[authorization] = token
    }
}
