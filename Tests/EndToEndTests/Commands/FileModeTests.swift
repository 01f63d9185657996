import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Who may read what a service keeps")
    struct FileModeTests {}
}

extension EndToEnd.FileModeTests {
    /// A folder that everybody may enter and read, as `mkdir` makes it.
    private func withOpenFolder(_ body: (String) async throws -> Void) async throws {
        try await withDataFolder { folder in
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder)
            try await body(folder)
        }
    }

    /// Has the shell's usual umask, whatever that of this process is.
    private static func withUsualMask(_ command: [String]) -> [String] {
        ["/bin/sh", "-c", #"umask 022; exec "$@""#, "sh"] + command
    }

    /// What is in the folder, with its mode.
    private static func modes(in folder: String) throws -> [String: Int] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: folder)
        return try Dictionary(
            uniqueKeysWithValues: names.map { name in
                let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/" + name)
                return (name, try #require(attributes[.posixPermissions] as? Int))
            })
    }

    private static func expectClosed(_ folder: String, _ names: Set<String>, after step: String) throws {
        let modes = try modes(in: folder)
        #expect(Set(modes.keys).isSuperset(of: names), "\(step): \(modes)")
        for (name, mode) in modes { #expect(mode & 0o077 == 0, "\(name) has mode \(String(mode, radix: 8)) after \(step)") }
    }

    @Test("in a folder that is open to all, nothing that a command makes is")
    func everyCommand() async throws {
        try await withOpenFolder { folder in
            let outside = TemporaryFolder()
            defer { outside.remove() }
            for command in [["demo"], ["token", "--admin"], ["audit"]] {
                let output = try await Tool.run(command + ["--data", folder], wrapping: Self.withUsualMask)
                // No service has opened a gate yet, and the audit says so.
                #expect(output.status == (command == ["audit"] ? 1 : 0), "\(output)")
            }
            try Self.expectClosed(folder, ["store.sqlite", "token.key", "lock"], after: "demo")

            let serve = try await ServeProcess.start(folder, log: outside.path + "/serve.log", wrapping: Self.withUsualMask)
            do {
                let pool = HTTPPool(port: serve.port, maximumConnections: 1)
                #expect(try await Caller(pool: pool).get("/products?limit=1").status == 200)
                let backup = try await Tool.run(["backup", "--data", folder, folder + "/copy.sqlite"], wrapping: Self.withUsualMask)
                #expect(backup.status == 0, "\(backup)")
                try Self.expectClosed(
                    folder, ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "copy.sqlite", "redis/redis.sock"], after: "serve")
                #expect(try await serve.end() == 0)
            } catch {
                _ = try? await serve.end(SIGKILL)
                throw error
            }
            try Self.expectClosed(folder, ["store.sqlite", "copy.sqlite"], after: "the end")
        }
    }

    @Test("a store that an earlier version left open to all is closed to others at the next start, which says so")
    func earlierStore() async throws {
        try await withOpenFolder { folder in
            #expect(try await Tool.run("demo", "--data", folder).status == 0)
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: folder + "/store.sqlite")
            let outside = TemporaryFolder()
            defer { outside.remove() }
            let serve = try await ServeProcess.start(folder, log: outside.path + "/serve.log")
            do {
                try Self.expectClosed(folder, ["store.sqlite", "store.sqlite-wal"], after: "serve")
                #expect(serve.standardError.contains("path=\(folder)/store.sqlite"))
                #expect(try await serve.end() == 0)
            } catch {
                _ = try? await serve.end(SIGKILL)
                throw error
            }
        }
    }

    @Test(
        "a token key of another account stops every command that needs it", .enabled(if: geteuid() == 0, "only root can give a file away"))
    func foreignKey() async throws {
        try await withDataFolder { folder in
            #expect(try await Tool.run("token", "--data", folder, "--admin").status == 0)
            #expect(chown(folder + "/token.key", 65_534, 65_534) == 0)
            for command in [["token", "--admin"], ["serve", "--port", "0"]] {
                let output = try await Tool.run(command + ["--data", folder])
                #expect(output.status == 1 && output.standardOutput.isEmpty && output.complaint.count == 1, "\(output)")
                #expect(output.standardError.contains("belongs to user id 65534"), "\(output)")
            }
        }
    }
}
