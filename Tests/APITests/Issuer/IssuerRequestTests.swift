import Commerce
import EventLoops
import Foundation
import HTTPServer
import JSON
import Logging
import NIOCore
import NIOPosix
import Services
import Synchronization
import TestSupport
import Testing

@testable import API

/// Requests with tokens of an issuer through the whole application, whose keys the test sets.
@Suite("Requests with an issuer's tokens")
struct IssuerRequestTests {
    private typealias Fixture = IssuerFixture

    private struct Service {
        let fixture: ApplicationFixture
        let api: FirstcomeAPI
        let keys: TokenKeys
        let issuer: IssuerFixture

        func get(_ path: String, _ token: String?, from source: IPAddress = .unspecified) async throws -> HTTPResponse {
            let fields = token.map { [(name: "Authorization", value: "Bearer " + $0)] } ?? []
            let request = try #require(
                HTTPRequest(method: "GET", target: path, fields: fields, eventLoop: fixture.loop, peer: source))
            let handler = api.handler
            return await Task(executorPreference: fixture.executor) { await handler(request) }.value
        }

        func count(_ reason: TokenRefusals.Reason) -> Int { api.tokenRefusals.reduce(0) { $0 + $1.count(of: reason) } }
    }

    /// Runs `body` with a service that knows the issuer's keys and has user 1.
    private func withService(
        limits: CheckLimits = CheckLimits(), clients: RequestLimits = RequestLimits(),
        _ body: @escaping @Sendable (Service) async throws -> Void
    ) async throws {
        let issuer = try Fixture.shared()
        try await ApplicationFixture.run { fixture in
            let document = try issuer.document()
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let reader = IssuerKeyReader(place: "the test", interval: .seconds(600), logger: logger) { () async throws(KeySetError) in
                document
            }
            let keys = TokenKeys(
                local: [fixture.key.local()], rules: Fixture.rules, issuer: reader, checks: SignatureChecks(limits: limits))
            try await keys.rereadIssuer()
            let api = FirstcomeAPI(
                services: fixture.services, tokenKeys: keys, eventLoopGroup: fixture.group, limits: clients, logger: logger)
            #expect(try await fixture.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"김하늘"}"#).status == 201)
            try await body(Service(fixture: fixture, api: api, keys: keys, issuer: issuer))
        }
    }

    private static let payload = #"{"sub":"1","role":"user","iss":"https://id.example","aud":"shop","exp":4102444800}"#

    @Test("a token is checked once, however often and on whatever connection it comes", arguments: TokenAlgorithm.allCases)
    func once(algorithm: TokenAlgorithm) async throws {
        try await withService { service in
            let token = try service.issuer.token(algorithm, payload: Self.payload)
            for _ in 0..<5 { #expect(try await service.get("/api/v1/users/1", token).status == 200) }
            #expect(service.keys.checks.count == 1)
            // Another loop has another cache; here another application on the same keys.
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let second = FirstcomeAPI(
                services: service.fixture.services, tokenKeys: service.keys, eventLoopGroup: service.fixture.group, logger: logger)
            let other = Service(fixture: service.fixture, api: second, keys: service.keys, issuer: service.issuer)
            #expect(try await other.get("/api/v1/users/1", token).status == 200)
            #expect(service.keys.checks.count == 1)
            #expect(try await service.get("/api/v1/users/2", token).code == "FORBIDDEN")
        }
    }

    @Test("a user pays for the first request with each token: new tokens give no new requests", arguments: [nil, "100/h"])
    func rateLimit(address: String?) async throws {
        var limits = RequestLimits()
        limits.user = RateLimit("3/h")
        limits.address = address.flatMap { RateLimit($0) }
        try await withService(clients: limits) { service in
            for round in 0..<5 {
                let payload = #"{"sub":"1","role":"user","iss":"https://id.example","aud":"shop","exp":4102444800,"jti":"\#(round)"}"#
                let answer = try await service.get("/api/v1/users/1", try service.issuer.token(.es256, payload: payload))
                #expect(answer.status == (round < 3 ? 200 : 429))
                guard round >= 3 else { continue }
                #expect(answer.code == "TOO_MANY_REQUESTS" && Int(answer.header("retry-after") ?? "") ?? 0 > 0)
                #expect(answer.headers.count { $0.name == "ratelimit-policy" } == 1)
                #expect(answer.headers.contains { $0.name == "ratelimit" && $0.value.hasPrefix(#""user";r=0;t="#) })
            }
        }
    }

    @Test("the same token on many connections at once is checked once where one thread checks")
    func together() async throws {
        try await withService { service in
            let token = try service.issuer.token(.es256, payload: Self.payload)
            try await withThrowingTaskGroup { group in
                for _ in 0..<64 { group.addTask { try await service.get("/api/v1/users/1", token).status } }
                for try await status in group { #expect(status == 200) }
            }
            #expect(service.keys.checks.count <= SignatureChecks.standardThreads)
        }
    }

    @Test("every refusal is counted by its reason, and answered without it")
    func reasons() async throws {
        try await withService { service in
            let issuer = service.issuer
            func payload(_ claims: String) -> String { #"{"sub":"1","role":"user",\#(claims)}"# }
            let good = #""iss":"https://id.example","aud":"shop""#
            let tokens: [(String?, TokenRefusals.Reason)] = [
                (nil, .missing), ("x", .malformed), (try issuer.token(.es256, header: #"{"alg":"none"}"#), .algorithm),
                (Fixture.token(header: Fixture.goodHeader(.es256)) { _ in Data(count: 64) }, .signature),
                (TokenFixture.forged(), .signature), (try issuer.token(.es256, payload: payload(good)), .claims),
                (try issuer.token(.es256, payload: payload(#""exp":4102444800"#)), .issuer),
                (try issuer.token(.es256, payload: payload(#""exp":4102444800,"iss":"https://id.example""#)), .audience),
                (try issuer.token(.es256, payload: payload(good + #","exp":1"#)), .expired),
                (try issuer.token(.es256, payload: payload(good + #","exp":4102444800,"nbf":4102444799"#)), .premature),
                (try issuer.token(.es256, header: #"{"alg":"ES256","kid":"x"}"#), .unknownKey),
            ]
            for (token, reason) in tokens {
                let before = service.count(reason)
                let answer = try await service.get("/api/v1/users/1", token)
                #expect(answer.status == 401 && answer.header("www-authenticate") != nil, "\(reason)")
                #expect(service.count(reason) == before + 1, "\(reason)")
                if ![.missing, .expired, .premature].contains(reason) {
                    #expect(try answer.json["detail"]?.text == "The token is not valid.", "\(reason)")
                }
            }
            let total = TokenRefusals.Reason.allCases.reduce(0) { $0 + service.count($1) }
            #expect(total == tokens.count)
        }
    }

    @Test("a flood of forgeries from one source is answered 429 after few checks; new tokens from elsewhere are taken meanwhile")
    func flood() async throws {
        try await withService(limits: CheckLimits(failuresPerSecond: 0, failureBurst: 20)) { service in
            let issuer = service.issuer
            let forger = IPAddress(ipv4: 0x0A00_0001)
            let known = try issuer.token(.es256, payload: Self.payload)
            #expect(try await service.get("/api/v1/users/1", known).status == 200)
            var (refused, away) = (0, 0)
            let start = ContinuousClock.now
            for round in 0..<1_000 {
                let forged = Fixture.token(header: Fixture.goodHeader(.es256), payload: #"{"sub":"1","x":\#(round)}"#) { _ in
                    Data((0..<64).map { UInt8(truncatingIfNeeded: $0 + round) })
                }
                let answer = try await service.get("/api/v1/users/1", forged, from: forger)
                switch answer.status {
                case 401: refused += 1
                case 429:
                    away += 1
                    #expect(answer.header("retry-after") == "1" && answer.code == "TOO_MANY_REQUESTS")
                default: Issue.record("\(answer.status)")
                }
                guard round.isMultiple(of: 100) else { continue }
                let fresh = #"{"sub":"1","role":"user","iss":"https://id.example","aud":"shop","exp":4102444800,"jti":\#(round)}"#
                let address = IPAddress(ipv4: UInt32(0x0A00_0100 + round))
                #expect(try await service.get("/api/v1/users/1", try issuer.token(.edDSA, payload: fresh), from: address).status == 200)
                // Who is known needs no check, wherever they come from.
                #expect(try await service.get("/api/v1/users/1", known, from: forger).status == 200)
            }
            // Eight failures make it suspect, twelve more are free; each second it loses one, and may then have one more checked.
            let seconds = Int((ContinuousClock.now - start).components.seconds)
            #expect(refused + away == 1_000 && (20...21 + seconds).contains(refused), "\(refused) refused, \(away) turned away")
            #expect(service.keys.checks.count == refused + 1 + 10)
            #expect(service.count(.busy) == away && service.count(.signature) == refused)
        }
    }

    @Test("a token that the issuer signed for others is checked once, and does not make a forger of its sender")
    func repeatedRefusal() async throws {
        try await withService { service in
            let token = try service.issuer.token(.es256, payload: Self.payload.replacing("shop", with: "other"))
            for _ in 0..<50 {
                #expect(try await service.get("/api/v1/users/1", token, from: IPAddress(ipv4: 1)).status == 401)
            }
            #expect(service.keys.checks.count == 1 && service.count(.audience) == 50 && service.count(.busy) == 0)
        }
    }

    @Test("a token with a new key is taken at once: the set is read again for it")
    func newKey() async throws {
        let issuer = try Fixture.shared()
        try await ApplicationFixture.run { fixture in
            let documents = [Fixture.document([try issuer.jwk(.es256)]), try issuer.document()]
            let readings = Readings()
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let reader = IssuerKeyReader(place: "the test", interval: .seconds(600), logger: logger) { () async throws(KeySetError) in
                documents[min(readings.next(), 1)]
            }
            let keys = TokenKeys(local: [], rules: Fixture.rules, issuer: reader)
            try await keys.rereadIssuer()
            let api = FirstcomeAPI(
                services: fixture.services, tokenKeys: keys, eventLoopGroup: fixture.group, logger: logger)
            #expect(try await fixture.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"김하늘"}"#).status == 201)
            let service = Service(fixture: fixture, api: api, keys: keys, issuer: issuer)
            // Its signature has another length than those of the keys that are known.
            let token = try issuer.token(.rs256, payload: Self.payload)
            #expect(try await service.get("/api/v1/users/1", token).status == 200)
            #expect(readings.count == 2)
            // Local tokens are not taken where there is no key.
            let local = fixture.key.sign(.anyAdmin, issuedAt: Fixture.now, expiresAt: TokenFixture.later)
            #expect(try await service.get("/api/v1/users/1", local).status == 401)
        }
    }
}

private final class Readings: Sendable {
    private let number = Mutex(0)
    var count: Int { number.withLock { $0 } }
    func next() -> Int {
        number.withLock { number in
            defer { number += 1 }
            return number
        }
    }
}
