import Commerce
import Foundation
import TestSupport
import Testing

@testable import API

@Suite("The cache of verified tokens")
struct TokenCacheTests {
    private typealias Fixture = TokenFixture

    private func verified(_ identity: Identity) -> VerifiedToken {
        VerifiedToken(identity: identity, expiresAt: .max, validFrom: 0)
    }

    /// A token that nobody signed: the cache takes the verifier's word for it.
    private func token(_ name: String, signature: String) -> String {
        name + "." + signature + String(repeating: "A", count: BearerToken.signatureLength - signature.utf8.count)
    }

    private func insert(_ identity: Identity, _ token: String, _ cache: inout TokenCache) throws {
        let verified = verified(identity)
        try #require(Fixture.withToken(token) { cache.insert(verified, for: $0) } != nil)
    }

    private func find(_ token: String, _ cache: inout TokenCache) -> Identity? {
        Fixture.withToken(token) { cache.find($0) }??.identity
    }

    @Test("one token is remembered once, however its field is spelled")
    func spellings() {
        let token = Fixture.token()
        var cache = TokenCache()
        for spelling in 0..<64 {
            let scheme = "bearer".enumerated().map { spelling >> $0.offset & 1 == 1 ? $0.element.uppercased() : String($0.element) }
            for spaces in [1, 2, 3, 100] {
                let field = scheme.joined() + String(repeating: " ", count: spaces) + token
                #expect(Fixture.authenticate(field, cache: &cache) == .authenticated(.user(UserID(7))))
            }
        }
        #expect(cache.count == 1)
    }

    @Test("only tokens that let somebody in are remembered")
    func refused() {
        var cache = TokenCache()
        let others = [
            Fixture.forged(), Fixture.token(header: #"{"alg":"none"}"#), Fixture.token(payload: "{}"),
            Fixture.token(payload: #"{"sub":"7","role":"user","exp":1}"#), "a.b.c",
        ]
        for token in others { _ = Fixture.authenticate("Bearer " + token, cache: &cache) }
        #expect(cache.count == 0)
        #expect(cache.byteCount == 0)
    }

    @Test("it keeps what is asked for, forgets what is not, and returns what was put in")
    func generations() throws {
        var cache = TokenCache(maximumBytes: 64 << 10)
        try insert(.user(UserID(1)), token("kept", signature: "kept"), &cache)
        try insert(.admin(subject: "운영자"), token("admin", signature: "admin"), &cache)
        for id in 2...2000 {
            let name = token("token\(id)", signature: "s\(id)")
            #expect(find(name, &cache) == nil)
            try insert(.user(UserID(Int64(id))), name, &cache)
            #expect(find(name, &cache) == .user(UserID(Int64(id))))
            guard id.isMultiple(of: 5) else { continue }
            #expect(find(token("kept", signature: "kept"), &cache) == .user(UserID(1)))
            #expect(find(token("admin", signature: "admin"), &cache) == .admin(subject: "운영자"))
        }
        #expect(find(token("token2", signature: "s2"), &cache) == nil)
        #expect(find(token("token1999", signature: "s1999"), &cache) == .user(UserID(1999)))
    }

    @Test(
        "its memory is bounded, whatever the tokens are like",
        arguments: [(payload: 1, subject: 0), (payload: 125, subject: 0), (payload: 125, subject: 255), (payload: 4050, subject: 255)])
    func bounded(payload: Int, subject: Int) {
        let subject = String(repeating: "s", count: subject)
        let identity: Identity = subject.isEmpty ? .user(UserID(1)) : .admin(subject: subject)
        let verified = verified(identity)
        var cache = TokenCache()
        var field = Array("Bearer a.".utf8) + Array(repeating: UInt8(ascii: "p"), count: payload) + Array(".".utf8)
        field += Array(repeating: UInt8(ascii: "A"), count: BearerToken.signatureLength)
        let perToken = payload + 3 + BearerToken.signatureLength + subject.utf8.count
        for id in 0..<min(70_000, 20 << 20 / perToken) {
            // Its number in the last characters of its signature.
            for place in 0..<5 { field[field.count - 1 - place] = UInt8(ascii: "a") + UInt8(id >> (4 * place) & 15) }
            field.withUnsafeBytes { field in
                guard let token = BearerToken(field: field) else {
                    Issue.record("not taken for a token")
                    return
                }
                cache.insert(verified, for: token)
                // The last one put in is always there.
                if id.isMultiple(of: 1000) { #expect(cache.find(token) == verified) }
            }
        }
        #expect(cache.byteCount <= 16 << 20)
        // And it is not small for it: at least a generation is full.
        #expect(cache.count >= min(32_768, (6 << 20) / perToken), "\(cache.count) tokens")
    }

    @Test("only the very bytes are found again")
    func byteEqual() throws {
        let mine = token("K.b", signature: "12345678")
        var cache = TokenCache()
        try insert(.user(UserID(1)), mine, &cache)
        let others = [
            token("K.c", signature: "12345678"), token("k.b", signature: "12345678"), token("\u{212A}.b", signature: "12345678"),
            token("K.b", signature: "1234567"), token("xK.b", signature: "12345678"), token(".b", signature: "12345678"),
        ]
        for other in others { #expect(find(other, &cache) == nil, "\(other)") }
        #expect(find(mine, &cache) == .user(UserID(1)))
    }

    @Test("each character of the signature counts in the hash, and so does the seed")
    func hash() throws {
        let signature = Array(repeating: UInt8(ascii: "A"), count: BearerToken.signatureLength)
        var hashes = Set<UInt64>()
        let seed = TokenHashSeed()
        for index in signature.indices {
            for character in [UInt8(ascii: "B"), UInt8(ascii: "_")] {
                var changed = signature
                changed[index] = character
                let token = "a.b." + String(decoding: changed, as: UTF8.self)
                hashes.insert(try #require(Fixture.withToken(token) { $0.signatureHash(seed) }))
                hashes.insert(try #require(Fixture.withToken(token) { $0.signatureHash(TokenHashSeed()) }))
            }
        }
        #expect(hashes.count == 4 * signature.count)
    }

    @Test("the tokens of a service spread over the table as if at random")
    func spread() throws {
        let seed = TokenHashSeed()
        let places = 1 << 12
        var (taken, tags) = (Set<UInt64>(), Set<UInt64>())
        for id in 0..<places {
            let token = Fixture.signed("a.\(id)")
            let hash = try #require(Fixture.withToken(token) { $0.signatureHash(seed) })
            taken.insert(hash % UInt64(places))
            tags.insert(hash >> 52)
        }
        // 1 - 1/e of the places, that is 2,589, give or take 30.
        #expect((2400...2800).contains(taken.count) && (2400...2800).contains(tags.count), "\(taken.count), \(tags.count)")
    }

    @Test("random use finds nothing but what was put in, within the bound")
    func model() throws {
        var random = SeededGenerator()
        let seed = Comment(rawValue: random.description)
        var cache = TokenCache(maximumBytes: 64 << 10)
        var inserted: [String: Identity] = [:]
        for _ in 0..<20_000 {
            let id = Int64.random(in: 1...400, using: &random)
            let name = token(String(repeating: "p", count: Int(id)), signature: "s\(id)")
            let identity: Identity = id.isMultiple(of: 3) ? .admin(subject: "admin \(id)") : .user(UserID(id))
            if let found = find(name, &cache) {
                #expect(found == inserted[name], seed)
            } else {
                try insert(identity, name, &cache)
                inserted[name] = identity
                #expect(find(name, &cache) == identity, seed)
            }
            #expect(cache.byteCount <= 64 << 10, seed)
        }
    }
}
