import Commerce
import Crypto
import Foundation
import TestSupport
import Testing

@testable import API

@Suite("Rotation of the key of a data folder")
struct TokenRotationTests {
    private static let now = TokenFixture.now
    private static let later = TokenFixture.later

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        try body(folder.path)
    }

    private func names(_ folder: String) throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder).sorted() }

    /// Who a token is taken for by the keys of a folder.
    private func judge(_ token: String, _ folder: String, at instant: Instant = now) throws -> Authentication {
        let verifier = TokenVerifier(localKeys: try FolderTokenKeys(in: folder).localKeys(at: instant))
        var (field, cache) = ("Bearer " + token, TokenCache())
        return field.withUTF8 { verifier.authenticate(UnsafeRawBufferPointer($0), at: instant, cache: &cache) }
    }

    private func sign(_ folder: String) throws -> String {
        try TokenKey.load(fromDataFolder: folder).sign(
            .user(UserID(7)), issuedAt: Self.now, expiresAt: Instant(milliseconds: Self.later.milliseconds + 60_000))
    }

    @Test("tokens of the former key are taken until its end, and those of the new key at once")
    func overlap() throws {
        try withFolder { folder in
            let old = try sign(folder)
            try TokenKey.rotate(inDataFolder: folder, keepUntil: Self.later, at: Self.now)
            let new = try sign(folder)
            for token in [old, new] { #expect(try judge(token, folder) == .authenticated(.user(UserID(7)))) }
            #expect(try judge(old, folder, at: Instant(milliseconds: Self.later.milliseconds - 1)) == .authenticated(.user(UserID(7))))
            #expect(try judge(old, folder, at: Self.later) == .refused(.signature))
            #expect(try judge(new, folder, at: Self.later) == .authenticated(.user(UserID(7))))
            #expect(try names(folder) == ["token.key", "token.key.until-\(Self.later)"])
            for name in try names(folder) {
                let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/" + name)
                #expect(attributes[.posixPermissions] as? Int == 0o600)
            }
        }
    }

    @Test("without an overlap the former key ends at once, and removing the file of one ends it too")
    func atOnce() throws {
        try withFolder { folder in
            let first = try sign(folder)
            try TokenKey.rotate(inDataFolder: folder, keepUntil: Self.later, at: Self.now)
            let second = try sign(folder)
            try TokenKey.rotate(inDataFolder: folder, keepUntil: nil, at: Self.now)
            #expect(try judge(first, folder) == .authenticated(.user(UserID(7))))
            #expect(try judge(second, folder) == .refused(.signature))
            try FileManager.default.removeItem(atPath: folder + "/token.key.until-\(Self.later)")
            #expect(try judge(first, folder) == .refused(.signature))
        }
    }

    @Test("a folder without a key gets one and keeps none; keys that have ended are removed")
    func emptyAndEnded() throws {
        try withFolder { folder in
            try TokenKey.rotate(inDataFolder: folder, keepUntil: Self.later, at: Self.now)
            #expect(try names(folder) == ["token.key"])
            try TokenKey.rotate(inDataFolder: folder, keepUntil: Self.later, at: Self.now)
            try TokenKey.rotate(inDataFolder: folder, keepUntil: Instant(milliseconds: Self.later.milliseconds + 1), at: Self.later)
            #expect(try names(folder) == ["token.key", "token.key.until-\(Instant(milliseconds: Self.later.milliseconds + 1))"])
        }
    }

    @Test("eight former keys are kept, and another rotation says that one must go first")
    func most() throws {
        try withFolder { folder in
            _ = try sign(folder)
            var tokens: [String] = []
            for offset in 1...8 {
                tokens.append(try sign(folder))
                let end = Instant(milliseconds: Self.later.milliseconds + Int64(offset))
                try TokenKey.rotate(inDataFolder: folder, keepUntil: end, at: Self.now)
            }
            for token in tokens { #expect(try judge(token, folder) == .authenticated(.user(UserID(7)))) }
            let before = try TokenKey.files(inDataFolder: folder, at: Self.now).map(\.fingerprint)
            let end = Instant(milliseconds: Self.later.milliseconds + 9)
            let error = #expect(throws: TokenKeyError.self) { try TokenKey.rotate(inDataFolder: folder, keepUntil: end, at: Self.now) }
            #expect(error?.code == .tooMany && error?.message.contains(folder) == true)
            #expect(try TokenKey.files(inDataFolder: folder, at: Self.now).map(\.fingerprint) == before && before.count == 9)
            try TokenKey.rotate(inDataFolder: folder, keepUntil: nil, at: Self.now)
        }
    }

    @Test("many rotations at once lose no key")
    func together() async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let path = folder.path
        _ = try sign(path)
        try await withThrowingTaskGroup { group in
            for offset in 0..<8 {
                group.addTask {
                    let end = Instant(milliseconds: Self.later.milliseconds + Int64(offset))
                    try TokenKey.rotate(inDataFolder: path, keepUntil: end, at: Self.now)
                }
            }
            try await group.waitForAll()
        }
        let fingerprints = try TokenKey.files(inDataFolder: path, at: Self.now).map(\.fingerprint)
        #expect(Set(fingerprints).count == 9)
    }

    @Test(
        "a former key that others can use, that is no key, or whose name says no time, is refused",
        arguments: [
            ("token.key.until-2099-01-01T00:00:00.000Z", 32, 0o644, TokenKeyError.Code.exposed),
            ("token.key.until-2099-01-01T00:00:00.000Z", 31, 0o600, .malformed), ("token.key.until-tomorrow", 32, 0o600, .malformed),
            ("token.key.until-", 32, 0o600, .malformed),
        ])
    func bad(name: String, bytes: Int, mode: Int, code: TokenKeyError.Code) throws {
        try withFolder { folder in
            _ = try sign(folder)
            let isMade = FileManager.default.createFile(
                atPath: folder + "/" + name, contents: Data(repeating: 1, count: bytes), attributes: [.posixPermissions: mode])
            #expect(isMade)
            let error = #expect(throws: TokenKeyError.self) { try TokenKey.verifying(inDataFolder: folder, at: Self.now) }
            #expect(error?.code == code)
        }
    }

    @Test("other files beside the key are left alone")
    func others() throws {
        try withFolder { folder in
            let token = try sign(folder)
            for name in ["token.key.old", "token.key.4711.99", "store.sqlite"] {
                #expect(FileManager.default.createFile(atPath: folder + "/" + name, contents: Data()))
            }
            #expect(try judge(token, folder) == .authenticated(.user(UserID(7))))
        }
    }
}
