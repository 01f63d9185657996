import App
import Foundation
import Services
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Tokens of an issuer, and keys that change while the service runs")
    struct IssuerTests {}
}

extension EndToEnd.IssuerTests {
    private static func caller(_ serve: ServeProcess, _ token: String, connections: Int = 1) -> Caller {
        Caller(pool: HTTPPool(port: serve.port, maximumConnections: connections), token: token)
    }

    private static func local(_ folder: String, _ who: String...) async throws -> String {
        try #require(try await Tool.run(["token", "--data", folder] + who).lines.first)
    }

    private static func status(_ serve: ServeProcess, _ token: String) async throws -> Int {
        let caller = caller(serve, token)
        let status = try await caller.get("/users/1").status
        await caller.pool.close()
        return status
    }

    /// Sends SIGHUP and waits until the service says that it has read everything again, or could not.
    private static func reload(_ serve: ServeProcess) async throws {
        func count() -> Int { serve.standardError.components(separatedBy: "reread the issuer's keys").count }
        let before = count()
        serve.send(SIGHUP)
        try await eventually("the keys are read again") { count() > before }
    }

    @Test(
        "people claim with tokens of an issuer that replaces its keys meanwhile; each claim is decided, and a key that left lets nobody in")
    func rotation() async throws {
        let keys = [TokenIssuer.Key.p256("2026-01"), .ed25519("2026-02"), try .rsa("2026-03")]
        try await TokenIssuer.run([keys[0]]) { issuer in
            try await withDataFolder { folder in
                try await withServe(folder, issuer.flags) { serve in
                    let pool = HTTPPool(port: serve.port, maximumConnections: 32)
                    let admin = Caller(pool: pool, token: try TokenIssuer.token(keys[0], subject: "ops", role: "admin"))
                    try await eventually("the service is ready") { try await admin.get("/readyz").status == 200 }
                    for _ in 1...90 { _ = try await admin.post("/users", #"{"name":"김하늘"}"#).expect(201) }
                    let coupon = try await admin.makeCoupon(quantity: 90)
                    func claim(_ users: ClosedRange<Int64>, _ key: TokenIssuer.Key) async throws {
                        try await withThrowingTaskGroup { group in
                            for user in users {
                                let token = try TokenIssuer.token(key, subject: String(user))
                                group.addTask { try await Caller(pool: pool, token: token, id: user).claim(coupon).status }
                            }
                            for try await status in group { #expect(status == 201) }
                        }
                    }
                    try await claim(1...30, keys[0])
                    // The issuer signs with its second key before anybody has told the service.
                    let readings = issuer.requests
                    try issuer.publish([keys[0], keys[1]])
                    try await claim(31...60, keys[1])
                    #expect(issuer.requests == readings + 1)
                    // The third one, and the first one goes: on a signal, in the middle of claims.
                    try issuer.publish([keys[1], keys[2]])
                    async let others: Void = claim(61...75, keys[1])
                    try await Self.reload(serve)
                    try await others
                    try await claim(76...90, keys[2])
                    #expect(try await admin.get("/users/1").status == 401)
                    let successor = Caller(pool: pool, token: try TokenIssuer.token(keys[2], subject: "ops", role: "admin"))
                    #expect(try await successor.get("/coupons/\(coupon)").expect(200).int("remaining") == 0)
                    #expect(try await successor.get("/users/1").status == 200)
                    // Each of these names a key that nobody has. The first reading for such a one was above, so at most one more is due.
                    let (before, start) = (issuer.requests, ContinuousClock.now)
                    for index in 0..<300 {
                        let key = TokenIssuer.Key.p256("unknown-\(index % 100)")
                        #expect(try await Caller(pool: pool, token: try TokenIssuer.token(key, subject: "1")).get("/users/1").status == 401)
                    }
                    let elapsed = Int((ContinuousClock.now - start).components.seconds)
                    #expect(issuer.requests - before <= elapsed / 10 + 1)
                    await pool.close()
                }
            }
        }
    }

    @Test("a service with public keys alone holds no key that can sign, and refuses tokens of a folder's key")
    func publicKeysAlone() async throws {
        let key = TokenIssuer.Key.ed25519("k")
        try await withDataFolder { folder in
            let file = folder + "/keys.json"
            try TokenIssuer.document([key]).write(toFile: file, atomically: true, encoding: .utf8)
            let flags = ["--port", "0", "--jwks", file, "--audience", "shop", "--no-local-tokens"]
            try await withServe(folder, flags) { serve in
                #expect(!FileManager.default.fileExists(atPath: folder + "/token.key"))
                let admin = Self.caller(serve, try TokenIssuer.token(key, subject: "ops", role: "admin"))
                #expect(try await admin.post("/users", #"{"name":"김하늘"}"#).status == 201)
                #expect(try await Self.status(serve, try await Self.local(folder, "--admin")) == 401)
                #expect(try await Self.status(serve, try TokenIssuer.token(key, subject: "1", audience: "other")) == 401)
                await admin.pool.close()
                // The file is read again on a signal.
                let next = TokenIssuer.Key.p256("next")
                try TokenIssuer.document([next]).write(toFile: file, atomically: true, encoding: .utf8)
                try await Self.reload(serve)
                #expect(try await Self.status(serve, try TokenIssuer.token(next, subject: "1")) == 200)
                #expect(try await Self.status(serve, try TokenIssuer.token(key, subject: "1")) == 401)
            }
        }
    }

    @Test("an issuer that cannot be read leaves its keys in use; the log says so once for each signal, and when it works again")
    func outage() async throws {
        let key = TokenIssuer.Key.p256("k")
        try await TokenIssuer.run([key]) { issuer in
            try await withDataFolder { folder in
                try await withServe(folder, issuer.flags) { serve in
                    let admin = Self.caller(serve, try TokenIssuer.token(key, subject: "ops", role: "admin"))
                    #expect(try await admin.post("/users", #"{"name":"김하늘"}"#).status == 201)
                    await admin.pool.close()
                    issuer.react(.status(500))
                    serve.send(SIGHUP)
                    try await eventually("the failure is logged") {
                        serve.standardError.contains("could not reread the issuer's keys") && serve.standardError.contains("answers 500")
                    }
                    #expect(try await Self.status(serve, try TokenIssuer.token(key, subject: "1")) == 200)
                    let next = TokenIssuer.Key.ed25519("next")
                    try issuer.publish([key, next])
                    try await Self.reload(serve)
                    #expect(try await Self.status(serve, try TokenIssuer.token(next, subject: "1")) == 200)
                }
            }
        }
    }

    @Test("a start without a key set that can be read ends with one line that says why")
    func badStarts() async throws {
        try await TokenIssuer.run { issuer in
            try await withDataFolder { folder in
                func start(_ jwks: String) async throws -> Tool.Output {
                    try await Tool.run("serve", "--data", folder, "--port", "0", "--jwks", jwks)
                }
                func file(_ text: String, mode: Int = 0o644) throws -> String {
                    let path = folder + "/keys.json"
                    try text.write(toFile: path, atomically: true, encoding: .utf8)
                    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
                    return path
                }
                let good = try TokenIssuer.document([.p256("k")])
                let cases: [(String, String)] = [
                    (folder + "/absent.json", "No such file"), (folder, "is not a file"), (try file("no json"), "is no JSON"),
                ]
                for (jwks, words) in cases {
                    let output = try await start(jwks)
                    #expect(output.status == 1 && output.standardOutput.isEmpty && output.complaint.count == 1, "\(output)")
                    #expect(output.standardError.contains(words) && output.standardError.contains(jwks), "\(output)")
                }
                for (text, mode, words) in [
                    (#"{"keys":[]}"#, 0o644, "has no key for RS256"), (good, 0o666, "can be written by every account"),
                    (good + String(repeating: " ", count: 300_000), 0o644, "more than 262144 bytes"),
                ] {
                    let output = try await start(try file(text, mode: mode))
                    #expect(output.status == 1 && output.complaint.count == 1 && output.standardError.contains(words), "\(output)")
                }
                let reactions: [(TokenIssuer.Reaction, String)] = [
                    (.status(404), "answers 404"), (.redirect(to: issuer.url), "redirects are not followed"),
                    (.document(good + String(repeating: " ", count: 300_000)), "more than 262144 bytes"),
                    (.document("[]"), "is no key set"),
                ]
                for (reaction, words) in reactions {
                    issuer.react(reaction)
                    let output = try await start(issuer.url)
                    #expect(output.status == 1 && output.complaint.count == 1 && output.standardError.contains(words), "\(output)")
                    #expect(output.standardError.contains(issuer.url))
                }
                let nobody = try await start("http://127.0.0.1:\(try TemporaryRedis.freePort())/jwks")
                #expect(
                    nobody.status == 1 && nobody.complaint.count == 1 && nobody.standardError.contains("cannot be reached"), "\(nobody)")
                #expect(try PrivateRedis(dataFolder: folder).runningPID == nil)
            }
        }
    }

    @Test("flags that contradict each other are refused")
    func badFlags() async throws {
        for flags in [
            ["--issuer", "https://id.example"], ["--audience", "shop"], ["--no-local-tokens"], ["--role-claim", "roles"],
            ["--jwks", "ftp://id.example/"], ["--jwks", ""], ["--jwks", "https://u:p@id.example/"], ["--jwks", "k", "--audience", ""],
            ["--jwks", "k", "--user-claim", ""], ["--jwks", "k", "--jwks-refresh", "9s"], ["--jwks", "k", "--admin-role", "user"],
        ] {
            let output = try await Tool.run(["serve", "--data", "/nonexistent"] + flags)
            #expect(output.status == 64 && !output.standardError.isEmpty, "\(flags): \(output)")
        }
    }
}

extension EndToEnd.IssuerTests {
    @Test("the folder's key is replaced while the service runs, with and without an overlap")
    func folderKey() async throws {
        try await withDataFolder { folder in
            try await withServe(folder) { serve in
                func reload() async throws {
                    func count() -> Int { serve.standardError.components(separatedBy: "reread the token keys").count }
                    let before = count()
                    serve.send(SIGHUP)
                    try await eventually("the keys are read again") { count() > before }
                }
                let admin = Self.caller(serve, try await Self.local(folder, "--admin"))
                #expect(try await admin.post("/users", #"{"name":"김하늘"}"#).status == 201)
                await admin.pool.close()
                let old = try await Self.local(folder, "--user", "1")
                #expect(try await Self.status(serve, old) == 200)
                let rotated = try await Tool.run("key", "rotate", "--data", folder, "--keep", "1h")
                #expect(rotated.status == 0 && rotated.standardOutput.contains("token.key.until-"), "\(rotated)")
                let new = try await Self.local(folder, "--user", "1")
                #expect(try await Self.status(serve, new) == 401)
                try await reload()
                #expect(try await Self.status(serve, new) == 200)
                #expect(try await Self.status(serve, old) == 200)
                let listed = try await Tool.run("key", "list", "--data", folder)
                #expect(listed.lines.count == 2 && listed.lines[0].contains("signs and verifies"), "\(listed)")
                // Removing the former key ends its tokens, those that the service knows among them.
                let kept = try #require(try FileManager.default.contentsOfDirectory(atPath: folder).first { $0.contains(".until-") })
                try FileManager.default.removeItem(atPath: folder + "/" + kept)
                try await reload()
                #expect(try await Self.status(serve, old) == 401)
                #expect(try await Self.status(serve, new) == 200)
                #expect(try await Tool.run("key", "rotate", "--data", folder, "--keep", "0s").status == 0)
                try await reload()
                #expect(try await Self.status(serve, new) == 401)
                // A key that cannot be used leaves those in use.
                let last = try await Self.local(folder, "--user", "1")
                #expect(try await Self.status(serve, last) == 200)
                try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: folder + "/token.key")
                serve.send(SIGHUP)
                try await eventually("the failure is logged") { serve.standardError.contains("could not reread the token keys") }
                #expect(try await Self.status(serve, last) == 200)
                #expect(try await serve.end() == 0)
            }
        }
    }

    @Test("a service in a terminal ends when the terminal is closed, and SIGHUP before that does not end it")
    func terminal() async throws {
        try await withDataFolder { folder in
            let command = "echo pid=$$; exec '\(try Tool.executable().path)' serve --data '\(folder)' --port 0 2>'\(folder)/serve.log'"
            let terminal = try await ChildProcess.start(
                ["script", "--quiet", "--command", command, "/dev/null"], environment: [:], output: .collected,
                errors: .file(folder + "/script.log"))
            try await eventually("the service listens") { terminal.output.contains("firstcome listens on") }
            let pid = try #require(terminal.output.firstMatch(of: /pid=(\d+)/).flatMap { Int32($0.1) })
            func isRunning() -> Bool { kill(pid, 0) == 0 }
            #expect(isRunning())
            kill(pid, SIGHUP)
            try await eventually("the keys are read again") {
                (try? String(contentsOfFile: folder + "/serve.log", encoding: .utf8))?.contains("reread the token keys") ?? false
            }
            #expect(isRunning())
            await terminal.end(SIGKILL)
            do {
                try await eventually("the service has ended") { !isRunning() }
            } catch {
                kill(pid, SIGKILL)
                throw error
            }
        }
    }
}
