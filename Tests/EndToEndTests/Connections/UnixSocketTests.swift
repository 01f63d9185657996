import Foundation
import Services
import TestSupport
import Testing

extension EndToEnd {
    @Suite("serve on a unix socket")
    struct UnixSocketTests {}
}

extension EndToEnd.UnixSocketTests {
    private static func status(_ path: String, of socket: String) async throws -> Int {
        try await offPool {
            try RawHTTPClient(unixSocketPath: socket, timeoutMilliseconds: 60_000)
                .exchange("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n").status
        }
    }

    /// Starts a serve that must not start: it ends with one line that says this, and leaves no Redis behind.
    private static func expectRefused(_ folder: String, _ arguments: [String], status: Int32 = 1, saying text: String) async throws {
        let output = try await Tool.run(["serve", "--data", folder] + arguments)
        #expect(output.status == status && output.standardOutput.isEmpty, "\(arguments): \(output)")
        if status == 1 { #expect(output.complaint.count == 1, "\(output)") }
        #expect(output.standardError.contains(text), "\(arguments): \(output)")
        #expect(try PrivateRedis(dataFolder: folder).runningPID == nil)
    }

    @Test("serve answers on the socket, which its group may use too, and takes it away when it ends")
    func lifecycle() async throws {
        try await withDataFolder { folder in
            let socket = folder + "/http.sock"
            try await withServe(folder, ["--host", "unix:\(socket)"]) { serve in
                #expect(serve.firstLine == "firstcome listens on unix:\(socket) (data \(folder), Redis unix://\(folder)/redis/redis.sock)")
                #expect(try await Self.status("/healthz", of: socket) == 200)
                #expect(try await Self.status("/api/v1/users/1", of: socket) == 401)
                let attributes = try FileManager.default.attributesOfItem(atPath: socket)
                #expect(attributes[.posixPermissions] as? Int == 0o660)
                #expect(try await serve.end() == 0)
                #expect(!FileManager.default.fileExists(atPath: socket))
            }
        }
    }

    @Test("the socket of a killed service is replaced; that of a running one is not, whoever runs it")
    func staleAndLive() async throws {
        try await withDataFolder { folder in
            let socket = folder + "/http.sock"
            try await withServe(folder, ["--host", "unix:\(socket)"]) { serve in
                let status = try await serve.end(SIGKILL)
                #expect(status == nil)
            }
            #expect(FileManager.default.fileExists(atPath: socket))
            try await withServe(folder, ["--host", "unix:\(socket)"]) { _ in
                #expect(try await Self.status("/healthz", of: socket) == 200)
                try await withDataFolder { other in
                    try await Self.expectRefused(other, ["--host", "unix:\(socket)"], saying: "another program listens on \(socket)")
                }
                #expect(try await Self.status("/healthz", of: socket) == 200)
            }
        }
    }

    @Test("a path that cannot be a socket is refused in one line, and what lies there stays")
    func badPaths() async throws {
        try await withDataFolder { folder in
            let file = folder + "/notes.txt"
            try Data("precious".utf8).write(to: URL(fileURLWithPath: file))
            try await Self.expectRefused(folder, ["--host", "unix:\(file)"], saying: "is not a socket")
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "precious")
            let link = folder + "/link"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: file)
            try await Self.expectRefused(folder, ["--host", "unix:\(link)"], saying: "is not a socket")
            try await Self.expectRefused(
                folder, ["--host", "unix:\(folder)/none/http.sock"], saying: "\(folder)/none of the socket does not exist")

            let long = "unix:\(folder)/\(String(repeating: "s", count: 107 - folder.utf8.count))"
            try await Self.expectRefused(folder, ["--host", long], status: 64, saying: "at most 107 bytes")
            try await Self.expectRefused(folder, ["--host", "unix:http.sock"], status: 64, saying: "absolute path")
            try await Self.expectRefused(
                folder, ["--host", "unix:\(folder)/http.sock", "--port", "8080"], status: 64, saying: "--port has no meaning")
        }
    }
}
