package import Commerce

/// Where the keys are that sign and verify a service's own tokens.
package protocol TokenKeyPlace: Sendable {
    /// The place as the log names it: "the data folder".
    var name: String { get }

    /// The keys that verify at an instant, the present one first, which also signs. Makes that one where there is none.
    func keys(at now: Instant) throws -> [PlacedTokenKey]
}

/// A key of a service's own tokens.
package struct PlacedTokenKey: Sendable {
    package let key: TokenKey
    /// The instant from which it verifies nothing any more; nil for the present key.
    package let endsAt: Instant?

    package init(_ key: TokenKey, endsAt: Instant? = nil) { (self.key, self.endsAt) = (key, endsAt) }

    /// The key as it verifies.
    func local() -> LocalKey { key.local(endsAt: endsAt?.milliseconds ?? .max) }
}

extension TokenKeyPlace {
    /// The key that signs.
    package func signingKey(at now: Instant) throws -> TokenKey {
        guard let first = try keys(at: now).first else {
            throw TokenKeyError(code: .inaccessible, message: "There is no token key in \(name).")
        }
        return first.key
    }

    func localKeys(at now: Instant) throws -> [LocalKey] { try keys(at: now).map { $0.local() } }
}

/// The key files of a data folder.
package struct FolderTokenKeys: TokenKeyPlace {
    private let folder: String

    package init(in folder: String) { self.folder = folder }

    package var name: String { "the data folder" }

    package func keys(at now: Instant) throws -> [PlacedTokenKey] { try TokenKey.verifying(inDataFolder: folder, at: now) }
}
