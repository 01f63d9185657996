import Commerce
import Crypto
import Foundation
import HTTPServer
import Logging
import NIOCore
import Services
import Synchronization
import TestSupport
import Testing

@testable import API

/// A document that a test changes, and how often it was read.
private final class Source: Sendable {
    private struct State {
        var answer: Result<ByteBuffer, KeySetError>
        var readings = 0
        var isHeld = false
    }

    private let state: Mutex<State>

    init(_ document: ByteBuffer) { state = Mutex(State(answer: .success(document))) }

    var readings: Int { state.withLock { $0.readings } }
    func set(_ answer: Result<ByteBuffer, KeySetError>) { state.withLock { $0.answer = answer } }
    /// While held, readings do not end.
    func hold(_ isHeld: Bool) { state.withLock { $0.isHeld = isHeld } }

    func read() async throws(KeySetError) -> ByteBuffer {
        state.withLock { $0.readings += 1 }
        while state.withLock({ $0.isHeld }) { try? await Task.sleep(for: .milliseconds(2)) }
        return try state.withLock { $0.answer }.get()
    }
}

/// A steady clock that the test moves.
private final class Steady: Sendable {
    private let state = Mutex(ContinuousClock.now)
    var now: ContinuousClock.Instant { state.withLock { $0 } }
    func advance(by duration: Duration) { state.withLock { $0 += duration } }
}

@Suite("The keys of an issuer, read again")
struct TokenKeysTests {
    private typealias Fixture = IssuerFixture

    private struct Parts {
        let keys: TokenKeys
        let reader: IssuerKeyReader
        let source: Source
        let steady = Steady()
        let log = LogLines()

        init(_ document: ByteBuffer) {
            let (source, steady) = (Source(document), steady)
            self.source = source
            let log = log
            reader = IssuerKeyReader(place: "the test", interval: .seconds(600), logger: log.logger(), now: { steady.now }) {
                () async throws(KeySetError) in try await source.read()
            }
            keys = TokenKeys(local: [], rules: Fixture.rules, issuer: reader)
        }

        var ids: [String?] { keys.follow { _ in }.issuer?.keys.keys.map(\.id) ?? [] }
    }

    private func parts() throws -> Parts { Parts(Fixture.document([try Fixture.shared().jwk(.es256, id: "a")])) }

    @Test("unknown keys cause one reading in ten seconds, however many there are")
    func flood() async throws {
        let parts = try parts()
        try await parts.keys.rereadIssuer()
        #expect(parts.source.readings == 1)
        parts.source.hold(true)
        let waiting = (0..<300).map { _ in parts.reader.rereadForUnknownKey(into: parts.keys) }
        #expect(waiting.allSatisfy { $0 != nil })
        try await eventually("the set is read") { parts.source.readings == 2 }
        parts.source.hold(false)
        for task in waiting {
            await task?.value
            parts.reader.endWaiting()
        }
        for milliseconds in [0, 9_000, 999] {
            parts.steady.advance(by: .milliseconds(milliseconds))
            for _ in 0..<300 { #expect(parts.reader.rereadForUnknownKey(into: parts.keys) == nil) }
        }
        #expect(parts.source.readings == 2)
        parts.steady.advance(by: .milliseconds(1))
        let next = try #require(parts.reader.rereadForUnknownKey(into: parts.keys))
        await next.value
        parts.reader.endWaiting()
        #expect(parts.source.readings == 3)
    }

    @Test("a bounded number of requests waits for a reading")
    func waiting() async throws {
        let parts = try parts()
        parts.source.hold(true)
        var tasks: [Task<Void, Never>] = []
        while let task = parts.reader.rereadForUnknownKey(into: parts.keys) { tasks.append(task) }
        #expect(tasks.count == IssuerKeyReader.mostWaiting)
        parts.source.hold(false)
        for task in tasks {
            await task.value
            parts.reader.endWaiting()
        }
        #expect(parts.source.readings == 1)
    }

    @Test(
        "a set that cannot be read leaves the former keys, and one line in the log for each outage",
        arguments: [#"{"keys":[]}"#, "no json", nil])
    func outage(document: String?) async throws {
        let parts = try parts()
        try await parts.keys.rereadIssuer()
        let good = Fixture.document([try Fixture.shared().jwk(.es256, id: "b")])
        for round in 1...2 {
            parts.source.set(document.map { .success(ByteBuffer(string: $0)) } ?? .failure(KeySetError(code: .unreachable, "is gone")))
            for _ in 0..<3 {
                parts.steady.advance(by: .seconds(10))
                await parts.reader.rereadForUnknownKey(into: parts.keys)?.value
                parts.reader.endWaiting()
            }
            #expect(parts.ids == (round == 1 ? ["a"] : ["b"]))
            #expect(parts.log.all.count { $0.contains("stay as they are") } == round)
            await #expect(throws: KeySetError.self) { try await parts.keys.rereadIssuer() }
            parts.source.set(.success(good))
            try await parts.keys.rereadIssuer()
            #expect(parts.ids == ["b"])
            #expect(parts.log.all.count { $0.contains("can be read again") } == round)
        }
    }

    @Test("tokens of a key that has left are dropped from a loop's cache in the same step, and those of other keys are not")
    func removed() async throws {
        let fixture = try Fixture.shared()
        let parts = Parts(Fixture.document([try fixture.jwk(.es256), try fixture.jwk(.edDSA)]))
        try await parts.keys.rereadIssuer()
        let changes = Mutex<[TokenKeys.Change]>([])
        let first = parts.keys.follow { change in changes.withLock { $0.append(change) } }
        var cache = TokenCache()
        let set = try #require(first.issuer)
        // ES256 signs the same text differently each time, so each token is made once.
        let tokens = [try fixture.token(.es256), try fixture.token(.edDSA)]
        for token in tokens { try insert(token, set, &cache) }
        parts.source.set(.success(Fixture.document([try fixture.jwk(.edDSA), try fixture.jwk(.rs256)])))
        try await parts.keys.rereadIssuer()
        let change = try #require(changes.withLock { $0.last })
        #expect(change.removed.count == 1)
        cache.removeTokens(of: change.removed)
        #expect(try find(tokens[0], set, &cache) == nil)
        #expect(try find(tokens[1], set, &cache) != nil)
        #expect(change.verifier.issuer?.keys.keys.map(\.id) == ["eddsa", "rs256"])
        // The key that stays is the same object, so a check that runs with it is still good.
        let (stays, leaves) = (set.keys.keys[1], set.keys.keys[0])
        #expect(change.verifier.issuer?.isInUse(stays) == true && change.verifier.issuer?.isInUse(leaves) == false)
    }

    @Test("numbers of keys are distinct, kept while a key stays, and never those of keys that have just left")
    func numbers() async throws {
        let parts = try parts()
        let changes = Mutex<[TokenKeys.Change]>([])
        _ = parts.keys.follow { change in changes.withLock { $0.append(change) } }
        parts.keys.replace(local: (0..<9).map { LocalKey(SymmetricKey(data: [UInt8](repeating: $0, count: 32))) })
        for round in 0..<40 {
            let former = changes.withLock { $0.last }?.verifier.issuer?.keys.keys ?? []
            let kept = former.prefix(32).map { (id: $0.id, number: $0.number, fingerprint: $0.fingerprint) }
            let new = (0..<32).map { _ in Curve25519.Signing.PrivateKey().publicKey }
            let keys = try new.enumerated().map { index, key in
                try IssuerKey.ed25519(id: "\(round)-\(index)", x: Array(key.rawRepresentation))
            }
            parts.keys.replace(issuer: IssuerKeySet(keys: Array(former.prefix(32)) + keys))
            let change = try #require(changes.withLock { $0.last })
            let now = try #require(change.verifier.issuer?.keys.keys)
            let numbers = now.map(\.number) + change.verifier.localKeys.map(\.number)
            #expect(Set(numbers).count == numbers.count && change.removed.isDisjoint(with: numbers))
            for key in kept { #expect(now.contains { $0.number == key.number && $0.fingerprint == key.fingerprint }) }
        }
    }

    @Test("a former key of the folder ends when its file says, also for tokens that are cached")
    func formerKey() throws {
        let former = LocalKey(TokenFixture.key, endsAt: TokenFixture.later.milliseconds)
        let verifier = TokenVerifier(localKeys: [LocalKey(SymmetricKey(size: .bits256)), former])
        var (field, cache) = ("Bearer " + TokenFixture.token(), TokenCache())
        func judge(at instant: Instant) -> Authentication {
            field.withUTF8 { verifier.authenticate(UnsafeRawBufferPointer($0), at: instant, cache: &cache) }
        }
        #expect(judge(at: TokenFixture.now) == .authenticated(.user(UserID(7))) && cache.count == 1)
        #expect(judge(at: Instant(milliseconds: TokenFixture.later.milliseconds - 1)) == .authenticated(.user(UserID(7))))
        #expect(judge(at: TokenFixture.later) == .refused(.expired))
        var none = TokenCache()
        let refused = field.withUTF8 {
            TokenVerifier(localKeys: []).authenticate(UnsafeRawBufferPointer($0), at: TokenFixture.now, cache: &none)
        }
        #expect(refused == .refused(.signature))
    }

    private func insert(_ token: String, _ issuer: IssuerTokens, _ cache: inout TokenCache) throws {
        try withToken(token, issuer) { token in
            guard
                case .check(let unchecked) = issuer.examine(token, from: .unspecified, headers: RecentHeaders(), checked: CheckedTokens()),
                case .verified(let verified) = unchecked.verdict()
            else {
                Issue.record("refused")
                return
            }
            cache.insert(verified, for: token)
            #expect(cache.find(token) == verified)
        }
    }

    private func find(_ token: String, _ issuer: IssuerTokens, _ cache: inout TokenCache) throws -> VerifiedToken? {
        try withToken(token, issuer) { cache.find($0) }
    }

    private func withToken<Value>(_ token: String, _ issuer: IssuerTokens, _ body: (BearerToken) throws -> Value) throws -> Value {
        var field = "Bearer " + token
        return try field.withUTF8 { field in
            let token = BearerToken(field: UnsafeRawBufferPointer(field), takesIssuer: true)
            return try body(try #require(token))
        }
    }
}
