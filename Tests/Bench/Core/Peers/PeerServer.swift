import Foundation
import TestSupport

/// An HTTP server that always gives the same answer, in a process of its own.
final class PeerServer: Sendable {
    private let name: String
    private let port: Int
    private let process: ChildProcess
    private let requests: RequestFile

    /// - Parameter command: starts the server on a port, with a folder for its files.
    private init(_ name: String, _ cleanup: CleanupStack, command: (_ port: Int, _ folder: TemporaryFolder) throws -> [String])
        async throws
    {
        let folder = TemporaryFolder()
        cleanup.add { folder.remove() }
        (self.name, port) = (name, try TemporaryRedis.freePort())
        let process = try await ChildProcess.start(try command(port, folder))
        cleanup.add { await process.end() }
        self.process = process
        requests = try RequestFile([RequestText(method: "GET", path: "/")], in: folder.path)
        try await Listening.wait(port: port, process)
    }

    /// SwiftNIO and NIOHTTP1 alone, in another process of this program.
    static func bare(_ cleanup: CleanupStack, executable: String) async throws -> PeerServer {
        try await PeerServer("the bare server", cleanup) { port, _ in [executable, "bare-server", "--port", String(port)] }
    }

    /// One handler on SwiftNIO without HTTP, in another process of this program.
    static func bareChannel(_ cleanup: CleanupStack, executable: String) async throws -> PeerServer {
        try await PeerServer("the bare channel", cleanup) { port, _ in [executable, "bare-channel", "--port", String(port)] }
    }

    /// nginx with `return 200`: about the least work that an HTTP server can do.
    static func nginx(_ cleanup: CleanupStack) async throws -> PeerServer {
        try await PeerServer("nginx", cleanup) { port, folder in
            let settings = folder.path + "/nginx.conf"
            try Data(Nginx.settings(port: port, folder: folder.path).utf8).write(to: URL(fileURLWithPath: settings))
            return ["nginx", "-p", folder.path, "-c", settings, "-e", "stderr"]
        }
    }

    /// - Parameter file: the requests to send; without it, a minimal one.
    func run(_ wrk: Wrk, _ amount: Wrk.Amount, sending file: RequestFile? = nil) async throws -> Sample {
        var (sample, output) = try await wrk.load(ports: [port], file ?? requests, amount, server: Watched(pid: process.pid))
        sample.unexpected = output.refused + output.broken
        if sample.unexpected > 0 { sample.problems.append("\(name) failed \(sample.unexpected) times") }
        return sample
    }
}
