import Crypto
import CryptoExtras
import Foundation
import HTTPServer
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// An issuer of tokens on loopback: signs with keys of its own and publishes their public halves as a JSON Web Key Set.
final class TokenIssuer: Sendable {
    /// A key with the name that tokens and the set know it by.
    struct Key: Sendable {
        enum Material: Sendable {
            case rsa(_RSA.Signing.PrivateKey)
            case p256(P256.Signing.PrivateKey)
            case ed25519(Curve25519.Signing.PrivateKey)
        }

        let id: String
        let material: Material

        static func p256(_ id: String) -> Key { Key(id: id, material: .p256(P256.Signing.PrivateKey())) }
        static func ed25519(_ id: String) -> Key { Key(id: id, material: .ed25519(Curve25519.Signing.PrivateKey())) }
        static func rsa(_ id: String) throws -> Key { Key(id: id, material: .rsa(try _RSA.Signing.PrivateKey(keySize: .bits2048))) }

        var algorithm: String {
            switch material {
            case .rsa: "RS256"
            case .p256: "ES256"
            case .ed25519: "EdDSA"
            }
        }

        func sign(_ data: Data) throws -> Data {
            switch material {
            case .rsa(let key): try key.signature(for: SHA256.hash(data: data), padding: .insecurePKCS1v1_5).rawRepresentation
            case .p256(let key): try key.signature(for: data).rawRepresentation
            case .ed25519(let key): try key.signature(for: data)
            }
        }

        /// The public half as a member of a set.
        func jwk() throws -> String {
            let head = #""kid":"\#(id)","use":"sig","alg":"\#(algorithm)""#
            switch material {
            case .rsa(let key):
                let numbers = try key.publicKey.getKeyPrimitives()
                return #"{\#(head),"kty":"RSA","n":"\#(text(numbers.modulus))","e":"\#(text(numbers.publicExponent))"}"#
            case .p256(let key):
                let point = key.publicKey.rawRepresentation
                return #"{\#(head),"kty":"EC","crv":"P-256","x":"\#(text(point.prefix(32)))","y":"\#(text(point.suffix(32)))"}"#
            case .ed25519(let key):
                return #"{\#(head),"kty":"OKP","crv":"Ed25519","x":"\#(text(key.publicKey.rawRepresentation))"}"#
            }
        }
    }

    enum Reaction: Sendable {
        case document(String)
        case status(Int)
        case redirect(to: String)
    }

    static let name = "https://id.example"
    private let holder: Holder
    private let server: HTTPListener

    private final class Holder: Sendable {
        private struct State {
            var reaction: Reaction
            var requests = 0
        }

        private let state: Mutex<State>

        init(_ reaction: Reaction) { state = Mutex(State(reaction: reaction)) }

        var requests: Int { state.withLock { $0.requests } }
        func react(_ reaction: Reaction) { state.withLock { $0.reaction = reaction } }

        func answer() -> HTTPResponse {
            let reaction = state.withLock { state in
                state.requests += 1
                return state.reaction
            }
            switch reaction {
            case .document(let text): return .json(ByteBuffer(string: text))
            case .status(let status): return .text(status: status, "")
            case .redirect(let target): return HTTPResponse(status: 302, headers: [("Location", target)])
            }
        }
    }

    init(_ keys: [Key] = []) async throws {
        let holder = Holder(.document(try Self.document(keys)))
        self.holder = holder
        server = HTTPListener(
            configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0), eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            handler: { _ in holder.answer() }, refusalResponse: { .text(status: $0.status, "") },
            logger: Logger(label: "issuer", factory: { _ in SwiftLogNoOpLogHandler() }))
        try await server.start()
    }

    /// Runs `body` with an issuer that is closed afterwards.
    static func run(_ keys: [Key] = [], _ body: (TokenIssuer) async throws -> Void) async throws {
        let issuer = try await TokenIssuer(keys)
        let result: Result<Void, any Error>
        do { result = .success(try await body(issuer)) } catch { result = .failure(error) }
        await issuer.server.drain(deadline: .zero)
        try result.get()
    }

    var url: String { "http://127.0.0.1:\(server.port ?? 0)/jwks" }
    /// How often the set was asked for.
    var requests: Int { holder.requests }

    func publish(_ keys: [Key]) throws { holder.react(.document(try Self.document(keys))) }
    func react(_ reaction: Reaction) { holder.react(reaction) }

    static func document(_ keys: [Key]) throws -> String { #"{"keys":[\#(try keys.map { try $0.jwk() }.joined(separator: ","))]}"# }

    /// The flags of a service that takes this issuer's tokens.
    var flags: [String] { ["--port", "0", "--jwks", url, "--issuer", Self.name, "--audience", "shop"] }

    /// A token of this issuer, for an hour.
    static func token(_ key: Key, subject: String, role: String = "user", audience: String = "shop") throws -> String {
        let end = Int(Date().timeIntervalSince1970) + 3_600
        let header = #"{"alg":"\#(key.algorithm)","typ":"JWT","kid":"\#(key.id)"}"#
        let claims = #"{"iss":"\#(name)","aud":"\#(audience)","sub":"\#(subject)","role":"\#(role)","exp":\#(end)}"#
        let signed = text(Data(header.utf8)) + "." + text(Data(claims.utf8))
        return signed + "." + text(try key.sign(Data(signed.utf8)))
    }
}

/// base64url without padding.
private func text(_ data: Data) -> String {
    data.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
}
