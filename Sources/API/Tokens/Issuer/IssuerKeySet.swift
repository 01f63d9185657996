import JSON
import NIOCore
import Services

/// The usable public keys of a JSON Web Key Set (RFC 7517).
///
/// A key that is for other purposes or algorithms is left out, so that an issuer may publish more than this service understands.
struct IssuerKeySet: Sendable {
    let keys: [IssuerKey]

    /// The greatest number of usable keys.
    static let mostKeys = 64
    /// Bytes of the longest `kid`, in keys and in tokens.
    static let longestKeyID = 256

    /// A key of a set that is not used, for the log.
    struct Ignored: Sendable, Equatable {
        /// Its place in the set, counted from 1.
        let place: Int
        let reason: String
    }

    init(keys: [IssuerKey]) { self.keys = keys }

    /// Reads a key set, and says which keys are not used.
    ///
    /// - Throws: where the document is no key set, or has no usable key.
    static func read(_ document: ByteBuffer) throws(KeySetError) -> (set: IssuerKeySet, ignored: [Ignored]) {
        let value: JSONValue
        do {
            value = try JSONParser.parse(document, maximumDepth: 8, maximumValues: 20_000)
        } catch {
            throw KeySetError(code: .malformed, "is no JSON: \(error.reason)")
        }
        guard case .array(let entries)? = value["keys"] else {
            throw KeySetError(code: .malformed, "is no key set: it has no array \"keys\"")
        }
        var ignored: [Ignored] = []
        var places: [(place: Int, key: IssuerKey)] = []
        for (index, entry) in entries.enumerated() {
            do throws(IssuerKey.UnusableKey) {
                let key = try readKey(entry)
                // The same key twice does no harm.
                if !places.contains(where: { $0.key.isSame(as: key) }) { places.append((index + 1, key)) }
            } catch {
                ignored.append(Ignored(place: index + 1, reason: error.reason))
            }
        }
        // Which of two keys a token means cannot be told, so neither is used.
        func isAmbiguous(_ key: IssuerKey) -> Bool {
            places.contains { $0.key !== key && $0.key.algorithm == key.algorithm && $0.key.id.hasSameBytes(as: key.id) && key.id != nil }
        }
        for (place, key) in places where isAmbiguous(key) {
            ignored.append(Ignored(place: place, reason: "another key of the same algorithm has the same kid"))
        }
        let keys = places.map(\.key).filter { !isAmbiguous($0) }
        guard !keys.isEmpty else {
            let reasons = ignored.first.map { "; key \($0.place): \($0.reason)" } ?? ""
            throw KeySetError(code: .malformed, "has no key for RS256, ES256 or EdDSA\(reasons)")
        }
        guard keys.count <= mostKeys else { throw KeySetError(code: .malformed, "has \(keys.count) keys; \(mostKeys) at most are taken") }
        return (IssuerKeySet(keys: keys), ignored.sorted { $0.place < $1.place })
    }

    private static func readKey(_ value: JSONValue) throws(IssuerKey.UnusableKey) -> IssuerKey {
        guard case .object(let members) = value else { throw IssuerKey.UnusableKey("it is no object") }
        let id: String?
        switch members["kid"] {
        case nil, .null: id = nil
        case .string(let text) where (1...longestKeyID).contains(text.utf8.count): id = text
        default: throw IssuerKey.UnusableKey("its kid is not a text of 1 to \(longestKeyID) bytes")
        }
        guard members["d"] == nil, members["k"] == nil else {
            throw IssuerKey.UnusableKey("it holds a secret, which should not be published")
        }
        if let use = members["use"], use != .string("sig") { throw IssuerKey.UnusableKey("it is not for signatures") }
        if let operations = members["key_ops"] {
            guard case .array(let list) = operations, list.contains(.string("verify")) else {
                throw IssuerKey.UnusableKey("it is not for verifying")
            }
        }
        let algorithm: TokenAlgorithm
        switch (members["kty"], members["crv"]) {
        case (.string("RSA"), _): algorithm = .rs256
        case (.string("EC"), .string("P-256")): algorithm = .es256
        case (.string("OKP"), .string("Ed25519")): algorithm = .edDSA
        default: throw IssuerKey.UnusableKey("its type is not RSA, EC with P-256 or OKP with Ed25519")
        }
        if let name = members["alg"] {
            guard case .string(let name) = name, TokenAlgorithm(name: name) == algorithm else {
                throw IssuerKey.UnusableKey("its algorithm is not RS256, ES256 or EdDSA")
            }
        }
        switch algorithm {
        case .rs256: return try .rsa(id: id, modulus: try bytes(of: "n", in: members), exponent: try bytes(of: "e", in: members))
        case .es256: return try .p256(id: id, x: try bytes(of: "x", in: members), y: try bytes(of: "y", in: members))
        case .edDSA: return try .ed25519(id: id, x: try bytes(of: "x", in: members))
        }
    }

    private static func bytes(of name: String, in members: JSONObject) throws(IssuerKey.UnusableKey) -> [UInt8] {
        guard case .string(var text)? = members[name],
            let bytes = text.withUTF8({ Base64URL.decode(UnsafeRawBufferPointer($0)) })
        else { throw IssuerKey.UnusableKey("its member \(name) is missing or not in base64url") }
        return Array(bytes.readableBytesView)
    }
}

extension IssuerKeySet {
    /// What a token's header says about its key.
    enum Match {
        case key(IssuerKey)
        /// No key of the set has this name; a newer set may.
        case unknown
        /// The key with this name is for another algorithm.
        case otherAlgorithm
        /// The token names no key, and several keys are for its algorithm.
        case ambiguous
    }

    func match(_ algorithm: TokenAlgorithm, id: String?) -> Match {
        if let id {
            let named = keys.filter { $0.id.hasSameBytes(as: id) }
            guard !named.isEmpty else { return .unknown }
            return named.first { $0.algorithm == algorithm }.map(Match.key) ?? .otherAlgorithm
        }
        let fitting = keys.filter { $0.algorithm == algorithm }
        guard let only = fitting.first else { return .unknown }
        return fitting.count == 1 ? .key(only) : .ambiguous
    }

    /// The same set, where keys that another set has are that set's objects, and every other key has a number of its own.
    func numbered(like former: IssuerKeySet?, _ numbers: inout KeyNumbers) -> IssuerKeySet {
        IssuerKeySet(keys: keys.map { key in former?.keys.first { $0.isSame(as: key) } ?? key.numbered(numbers.next()) })
    }
}
