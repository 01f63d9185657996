import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
    @Suite("serve with --tls-cert")
    struct TLSServeTests {}
}

/// The files that a service reads its certificate from, and pairs to put there.
private struct CertificateFolder {
    let folder: TemporaryFolder
    let pairs: [TestCertificate]
    var certificate: String { folder.path + "/cert.pem" }
    var key: String { folder.path + "/key.pem" }
    var flags: [String] { ["--port", "0", "--tls-cert", certificate, "--tls-key", key] }
    /// A file with both certificates, for clients.
    var trusted: String { folder.path + "/trusted.pem" }

    /// Runs `body` with two pairs, the first of which is in place.
    static func use(_ body: (CertificateFolder) async throws -> Void) async throws {
        let folders = (0..<3).map { _ in TemporaryFolder() }
        defer { for folder in folders { folder.remove() } }
        var pairs: [TestCertificate] = []
        for folder in folders.dropFirst() { pairs.append(try await TestCertificate(in: folder)) }
        let files = CertificateFolder(folder: folders[0], pairs: pairs)
        let trusted = try pairs.map { try String(contentsOfFile: $0.certificate, encoding: .utf8) }.joined()
        try trusted.write(toFile: files.trusted, atomically: true, encoding: .utf8)
        try files.install(0)
        try await body(files)
    }

    func install(_ number: Int) throws {
        try write(Data(contentsOf: URL(filePath: pairs[number].certificate)), to: certificate)
        try write(Data(contentsOf: URL(filePath: pairs[number].key)), to: key)
    }

    func write(_ data: Data, to path: String) throws { try data.write(to: URL(filePath: path), options: .atomic) }

    /// The serial number of a pair, as OpenSSL prints it.
    func serial(_ number: Int) async throws -> String {
        try await Tool.run(program: ["openssl", "x509", "-in", pairs[number].certificate, "-noout", "-serial"]).standardOutput
    }

    /// The serial number of the certificate that a service shows to a new connection.
    func servedSerial(_ serve: ServeProcess) async throws -> String {
        let script = "openssl s_client -connect 127.0.0.1:\(serve.port) </dev/null 2>/dev/null | openssl x509 -noout -serial"
        return try await Tool.run(program: ["sh", "-c", script]).standardOutput
    }

    /// Makes a certificate that has expired, and puts it in place with its key.
    func installExpired() async throws {
        let request = folder.path + "/request.pem"
        let made = try await Tool.run(program: [
            "sh", "-c",
            """
            openssl req -new -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$1" -out "$2" &&
            openssl x509 -req -in "$2" -signkey "$1" -days -1 -out "$3"
            """, "sh", key, request, certificate,
        ])
        try #require(made.status == 0, "\(made)")
    }
}

/// A client that trusts the certificates of a file, and keeps its connections.
private final class Client: Sendable {
    let client: HTTPClient

    init(trusting file: String) {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .file(file)
        client = HTTPClient(
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: HTTPClient.Configuration(tlsConfiguration: tls))
    }

    /// The status of an answer.
    func get(_ url: String) async throws -> Int {
        var request = HTTPClientRequest(url: url)
        request.headers.add(name: "accept", value: "*/*")
        let answer = try await client.execute(request, timeout: .seconds(60))
        _ = try await answer.body.collect(upTo: 1 << 20)
        return Int(answer.status.code)
    }
}

extension EndToEnd.TLSServeTests {
    private static func curl(_ arguments: [String], trusting file: String) async throws -> Tool.Output {
        try await Tool.run(program: ["curl", "--silent", "--show-error", "--max-time", "60", "--cacert", file] + arguments)
    }

    private static func handshake(_ serve: ServeProcess, _ arguments: [String]) async throws -> Tool.Output {
        let words = ["openssl", "s_client", "-connect", "127.0.0.1:\(serve.port)"] + arguments
        return try await Tool.run(program: ["sh", "-c", #"exec "$@" </dev/null"#, "sh"] + words)
    }

    @Test("it speaks TLS 1.2 and 1.3 and http/1.1, nothing older and no plain HTTP, and the first line says https")
    func versions() async throws {
        try await CertificateFolder.use { files in
            try await withDataFolder { folder in
                try await withServe(folder, files.flags) { serve in
                    #expect(serve.firstLine.hasPrefix("firstcome listens on https://127.0.0.1:\(serve.port) (data "))
                    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
                        let output = try await Self.handshake(serve, [version, "-alpn", "h2,http/1.1"])
                        #expect(
                            output.standardOutput.contains("Protocol  : \(name)") || output.standardOutput.contains("New, \(name)"),
                            "\(output)")
                        #expect(output.standardOutput.contains("ALPN protocol: http/1.1"), "\(output)")
                    }
                    let old = try await Self.handshake(serve, ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"])
                    #expect(old.status != 0 && old.standardOutput.contains("no peer certificate available"), "\(old)")
                    for version in ["1.2", "1.3"] {
                        let output = try await Self.curl(
                            ["--tls-max", version, "https://localhost:\(serve.port)/healthz"], trusting: files.trusted)
                        #expect(output.standardOutput == #"{"status":"ok"}"#, "\(output)")
                    }
                    let plain = try await Tool.run(program: [
                        "curl", "--silent", "--max-time", "60", "http://127.0.0.1:\(serve.port)/healthz",
                    ])
                    #expect(plain.status != 0 && plain.standardOutput.isEmpty, "\(plain)")
                    #expect(try await serve.end() == 0)
                }
            }
        }
    }

    @Test("what does not speak TLS sees the end of the connection and no reset")
    func plainHTTP() async throws {
        try await CertificateFolder.use { files in
            try await withDataFolder { folder in
                try await withServe(folder, files.flags) { serve in
                    try await offPool {
                        let client = try RawHTTPClient(port: serve.port)
                        try client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        // Behind an alert of TLS, or at once; a reset would throw.
                        #expect(try !client.readToEnd().contains("HTTP/1.1"))
                    }
                }
            }
        }
    }

    @Test("SIGHUP has new connections use a new certificate while no request under way fails; what cannot be used is logged and left out")
    func reload() async throws {
        try await CertificateFolder.use { files in
            try await withDataFolder { folder in
                try await withServe(folder, files.flags) { serve in
                    let load = Load(url: "https://localhost:\(serve.port)/healthz", trusted: files.trusted)
                    try await withThrowingTaskGroup { group in
                        // Half of them keep a connection, the others open one for each request.
                        for number in 0..<8 { group.addTask { try await load.run(keepingConnections: number < 4) } }
                        defer { load.end() }
                        for round in 1...4 {
                            try files.install(round % 2)
                            serve.send(SIGHUP)
                            let serial = try await files.serial(round % 2)
                            try await eventually("new connections see certificate \(round % 2)") {
                                try await files.servedSerial(serve) == serial
                            }
                            let seen = load.answers
                            try await eventually("requests go on") { load.answers > seen + 40 }
                        }
                        try await Self.refuseFaultyPairs(files, serve)
                        load.end()
                        try await group.waitForAll()
                    }
                    #expect(try await serve.end() == 0)
                }
            }
        }
    }

    /// Requests without a pause, each of which has to be answered.
    private final class Load: Sendable {
        private let url: String
        private let trusted: String
        private let state = Mutex((answers: 0, isOver: false))

        init(url: String, trusted: String) { (self.url, self.trusted) = (url, trusted) }

        var answers: Int { state.withLock { $0.answers } }
        func end() { state.withLock { $0.isOver = true } }

        func run(keepingConnections isKeeping: Bool) async throws {
            var client = Client(trusting: trusted)
            while !state.withLock({ $0.isOver }) {
                let status = try await client.get(url)
                #expect(status == 200)
                if !isKeeping {
                    try await client.client.shutdown()
                    client = Client(trusting: trusted)
                }
                state.withLock { $0.answers += 1 }
            }
            try await client.client.shutdown()
        }
    }

    /// Has a service reread pairs that cannot be used.
    private static func refuseFaultyPairs(_ files: CertificateFolder, _ serve: ServeProcess) async throws {
        let serial = try await files.servedSerial(serve)
        let faults: [(String, () async throws -> Void)] = [
            ("does not belong to the certificate", { try files.write(Data(contentsOf: URL(filePath: files.pairs[1].key)), to: files.key) }),
            ("holds no private key in PEM form", { try files.write(Data("nothing".utf8), to: files.key) }),
            ("cannot be read: No such file or directory", { try FileManager.default.removeItem(atPath: files.key) }),
            ("has expired on", { try await files.installExpired() }),
        ]
        try files.install(0)
        for (reason, bring) in faults {
            try await bring()
            serve.send(SIGHUP)
            try await eventually("the log says: \(reason)") { serve.standardError.contains(reason) }
            #expect(try await files.servedSerial(serve) == serial, "\(reason)")
        }
        let lines = serve.standardError.split(separator: "\n").filter { $0.contains("could not reread the certificate") }
        #expect(lines.count == faults.count && lines.allSatisfy { $0.contains("the former one stays in use") }, "\(lines)")
    }

    @Test("files that cannot be used are an error of the start in one line, which leaves nothing running")
    func startErrors() async throws {
        try await CertificateFolder.use { files in
            try await withDataFolder { folder in
                func start(_ arguments: [String]) async throws -> Tool.Output {
                    try await Tool.run(["serve", "--data", folder] + arguments)
                }
                for (arguments, reason) in [
                    (["--tls-cert", files.certificate, "--tls-key", "/nowhere/key.pem"], "/nowhere/key.pem cannot be read: No such file"),
                    (["--tls-cert", "/nowhere/cert.pem", "--tls-key", files.key], "/nowhere/cert.pem cannot be read: No such file"),
                    (["--tls-cert", files.folder.path, "--tls-key", files.key], "cannot be read: Is a directory"),
                    (["--tls-cert", files.key, "--tls-key", files.key], "holds no certificate in PEM form"),
                    (["--tls-cert", files.certificate, "--tls-key", files.certificate], "holds no private key in PEM form"),
                    (["--tls-cert", files.pairs[1].certificate, "--tls-key", files.key], "does not belong to the certificate"),
                ] {
                    let output = try await start(["--port", "0"] + arguments)
                    #expect(output.status == 1 && output.standardOutput.isEmpty && output.complaint.count == 1, "\(output)")
                    #expect(output.standardError.contains(reason), "\(reason): \(output)")
                }
                for arguments in [["--tls-cert", files.certificate], ["--tls-key", files.key]] {
                    let output = try await start(arguments)
                    #expect(output.status == 64 && output.standardError.contains("--tls-cert and --tls-key need each other"), "\(output)")
                }
                let socket = try await start(["--host", "unix:\(folder)/http.sock"] + files.flags.dropFirst(2))
                #expect(socket.status == 1 && socket.standardError.contains("--tls-cert has no meaning with --host unix"), "\(socket)")
            }
        }
    }

    @Test("an expired certificate is used with a warning")
    func expired() async throws {
        try await CertificateFolder.use { files in
            try await files.installExpired()
            try await withDataFolder { folder in
                try await withServe(folder, files.flags) { serve in
                    #expect(
                        serve.standardError.split(separator: "\n").count { $0.contains("warning") && $0.contains("has expired on") } == 1)
                    let output = try await Tool.run(program: ["curl", "--silent", "--insecure", "https://127.0.0.1:\(serve.port)/healthz"])
                    #expect(output.standardOutput == #"{"status":"ok"}"#)
                }
            }
        }
    }

    @Test("the address of operators uses TLS too where it is not local", arguments: [("127.0.0.1", "http"), ("0.0.0.0", "https")])
    func operators(host: String, scheme: String) async throws {
        try await CertificateFolder.use { files in
            try await withDataFolder { folder in
                try await withServe(folder, files.flags + ["--admin-listen", "\(host):0"]) { serve in
                    #expect(try await serve.operatorsPlace.hasPrefix("\(scheme)://\(host):"))
                    let url = "\(scheme)://localhost:\(try await serve.operatorsPort)/metrics"
                    #expect(try await Self.curl([url], trusting: files.trusted).standardOutput.contains("# TYPE firstcome_"))
                    #expect(!serve.standardError.contains("unencrypted"))
                }
            }
        }
    }

    @Test("an address of operators that is not local and has no TLS is warned of")
    func unencrypted() async throws {
        try await withDataFolder { folder in
            try await withServe(folder, ["--port", "0", "--admin-listen", "0.0.0.0:0"]) { serve in
                #expect(serve.standardError.contains("operators' tokens cross the network unencrypted"))
            }
        }
    }
}
