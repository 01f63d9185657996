import Foundation
import TestSupport
import Testing

@testable import API

@Suite("The key file of a data folder")
struct TokenKeyTests {
    /// An empty folder that is gone when the body ends, however it ends.
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        try await body(folder.path)
    }

    private func put(_ bytes: Int, mode: Int, in folder: String) {
        let isMade = FileManager.default.createFile(
            atPath: folder + "/token.key", contents: Data(repeating: 7, count: bytes), attributes: [.posixPermissions: mode])
        #expect(isMade)
    }

    @Test("the first use makes 32 bytes that only the owner can read, the second finds the same")
    func made() async throws {
        try await withFolder { folder in
            let first = try TokenKey.bytes(inDataFolder: folder)
            #expect(first.count == 32 && Set(first).count > 4)
            #expect(try TokenKey.bytes(inDataFolder: folder) == first)
            let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/token.key")
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["token.key"])
        }
    }

    @Test("two folders have two keys")
    func distinct() async throws {
        try await withFolder { first in
            try await withFolder { second in
                let keys = [try TokenKey.bytes(inDataFolder: first), try TokenKey.bytes(inDataFolder: second)]
                #expect(keys[0] != keys[1])
            }
        }
    }

    @Test("many that make it at once end with one key")
    func raced() async throws {
        try await withFolder { folder in
            let keys = try await withThrowingTaskGroup(of: [UInt8].self) { group in
                for _ in 0..<32 { group.addTask { try TokenKey.bytes(inDataFolder: folder) } }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(keys.count == 1)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["token.key"])
        }
    }

    @Test("a file that others can read or write is refused", arguments: [0o640, 0o604, 0o622, 0o644])
    func exposed(mode: Int) async throws {
        try await withFolder { folder in
            put(32, mode: mode, in: folder)
            let error = #expect(throws: TokenKeyError.self) { try TokenKey.bytes(inDataFolder: folder) }
            #expect(error?.code == .exposed)
        }
    }

    @Test(
        "a file belongs to the account that runs the service, or to root",
        arguments: [(1000, 1000, true), (0, 1000, true), (0, 0, true), (1001, 1000, false), (1000, 0, false), (65_534, 1000, false)])
    func owner(owner: UInt32, account: UInt32, isGood: Bool) {
        var status = stat()
        status.st_mode = S_IFREG | 0o600
        status.st_size = 32
        status.st_uid = owner
        let fault = TokenKey.fault(of: status, at: "/data/token.key", account: account)
        #expect((fault == nil) == isGood)
        if let fault { #expect(fault.code == .foreign && fault.message.contains("\(owner)") && fault.message.contains("\(account)")) }
    }

    @Test("a key file that somebody else has put there is refused", .enabled(if: geteuid() == 0, "only root can give a file away"))
    func foreign() async throws {
        try await withFolder { folder in
            put(32, mode: 0o600, in: folder)
            #expect(chown(folder + "/token.key", 65_534, 65_534) == 0)
            let error = #expect(throws: TokenKeyError.self) { try TokenKey.bytes(inDataFolder: folder) }
            #expect(error?.code == .foreign)
        }
    }

    @Test("a file of another length is refused", arguments: [0, 31, 33])
    func malformed(bytes: Int) async throws {
        try await withFolder { folder in
            put(bytes, mode: 0o600, in: folder)
            let error = #expect(throws: TokenKeyError.self) { try TokenKey.bytes(inDataFolder: folder) }
            #expect(error?.code == .malformed)
        }
    }

    @Test("a link, a folder in its place and a missing data folder are refused, and nothing is made")
    func inaccessible() async throws {
        try await withFolder { folder in
            try FileManager.default.createSymbolicLink(atPath: folder + "/token.key", withDestinationPath: "/dev/zero")
            #expect(throws: TokenKeyError.self) { try TokenKey.bytes(inDataFolder: folder) }
            #expect(throws: TokenKeyError.self) { try TokenKey.bytes(inDataFolder: folder + "/absent") }
            try FileManager.default.createDirectory(atPath: folder + "/inner/token.key", withIntermediateDirectories: true)
            #expect(throws: TokenKeyError.self) { try TokenKey.bytes(inDataFolder: folder + "/inner") }
        }
    }
}
