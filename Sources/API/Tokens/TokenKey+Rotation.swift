package import Commerce
import Foundation

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A key file of a data folder, without its content.
package struct TokenKeyFile: Sendable {
    package let name: String
    /// The first digits of the key's SHA-256, which tell keys apart.
    package let fingerprint: String
    /// The instant from which the key verifies nothing any more; nil for the present key, which also signs.
    package let endsAt: Instant?
}

/// Rotation: a former key stays beside the present one under a name that says until when its tokens are valid, such as
/// `token.key.until-2026-11-23T03:04:05.678Z`.
extension TokenKey {
    static let formerPrefix = fileName + ".until-"
    /// Former keys at a time: each one costs a forged token one more HMAC.
    package static let mostFormer = 8

    /// Makes a new key. The present one stays valid until an instant; nil ends it at once. Former keys that have ended are removed.
    ///
    /// A running service goes on with the keys that it has read, until it reads them again.
    package static func rotate(inDataFolder folder: String, keepUntil end: Instant?, at now: Instant) throws(TokenKeyError) {
        let path = folder + "/" + fileName
        // Locked, because of two rotations at once one would lose the other's key. The folder's own lock belongs to the service.
        let directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0, flock(directory, LOCK_EX) == 0 else { throw systemError("cannot be replaced", path) }
        defer { close(directory) }
        let former = try formerFiles(inDataFolder: folder)
        for file in former where file.endsAt <= now { unlink(file.path) }
        if let end, end > now, try read(path) != nil {
            let valid = former.filter { $0.endsAt > now }
            guard valid.count < mostFormer else {
                throw TokenKeyError(
                    code: .tooMany,
                    message:
                        "\(valid.count) former keys are still valid; remove one first, for example \(valid[0].path), which ends its tokens."
                )
            }
            let kept = folder + "/" + formerPrefix + end.description
            guard link(path, kept) == 0 else { throw systemError("cannot be made", kept) }
        }
        try withNewKey(for: path, in: folder) { rename($0, path) == 0 }
    }

    /// The keys that verify tokens now, the present one first. Makes the present one where there is none.
    static func verifying(inDataFolder folder: String, at now: Instant) throws(TokenKeyError) -> [PlacedTokenKey] {
        var keys = [PlacedTokenKey(TokenKey(bytes: try bytes(inDataFolder: folder)))]
        for file in try formerFiles(inDataFolder: folder).filter({ $0.endsAt > now }).suffix(mostFormer) {
            // Nil where it was removed meanwhile.
            if let bytes = try read(file.path) { keys.append(PlacedTokenKey(TokenKey(bytes: bytes), endsAt: file.endsAt)) }
        }
        return keys
    }

    /// The key files of a folder that are in use, the present one first.
    package static func files(inDataFolder folder: String, at now: Instant) throws(TokenKeyError) -> [TokenKeyFile] {
        var files: [TokenKeyFile] = []
        func add(_ path: String, _ name: String, _ end: Instant?) throws(TokenKeyError) {
            guard let bytes = try read(path) else { return }
            files.append(TokenKeyFile(name: name, fingerprint: TokenKey(bytes: bytes).fingerprint, endsAt: end))
        }
        try add(folder + "/" + fileName, fileName, nil)
        for file in try formerFiles(inDataFolder: folder) where file.endsAt > now {
            try add(file.path, formerPrefix + file.endsAt.description, file.endsAt)
        }
        return files
    }

    /// The former keys in the order of their ends.
    private static func formerFiles(inDataFolder folder: String) throws(TokenKeyError) -> [(path: String, endsAt: Instant)] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            throw TokenKeyError(code: .inaccessible, message: "\(folder) cannot be listed: \(error.localizedDescription)")
        }
        var files: [(path: String, endsAt: Instant)] = []
        for name in names where name.hasPrefix(formerPrefix) {
            guard let end = Instant(rfc3339: String(name.dropFirst(formerPrefix.count))) else {
                throw TokenKeyError(
                    code: .malformed,
                    message: "\(folder)/\(name) does not say until when the key is valid, as in \(formerPrefix)2026-11-23T03:04:05.678Z.")
            }
            files.append((folder + "/" + name, end))
        }
        return files.sorted { $0.endsAt < $1.endsAt }
    }
}
