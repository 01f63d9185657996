import Crypto
import Foundation
import Services
import TestSupport
import Testing

@testable import App

extension EndToEnd {
    @Suite("Secrets from files, credentials and the environment")
    struct SecretTests {}
}

extension EndToEnd.SecretTests {
    /// Values that occur nowhere else, so that finding one means that it was printed.
    private static let platformSecret = "platform-secret-8d1f0c77"
    private static let redisPassword = "redis-password-51c9e2ab"

    private static func write(_ text: String, _ path: String, mode: Int = 0o600) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    /// A way to give the secret of the data platform.
    struct Form: Sendable, CustomTestStringConvertible {
        let name: String
        let content: String
        var arguments: [String] = []
        var environment: [String: String] = [:]
        var testDescription: String { name }
    }

    static let forms = [
        Form(name: "by a flag with a file", content: "SECRET\n", arguments: ["--data-platform-secret-file", "FOLDER/secret"]),
        Form(name: "by a variable with a file", content: "SECRET", environment: ["FIRSTCOME_DATA_PLATFORM_SECRET_FILE": "FOLDER/secret"]),
        Form(name: "by a file with a Windows line end", content: "SECRET\r\n", arguments: ["--data-platform-secret-file=FOLDER/secret"]),
        Form(name: "by a variable", content: "", environment: ["FIRSTCOME_DATA_PLATFORM_SECRET": "SECRET"]),
        Form(name: "by a credential of systemd", content: "SECRET\n", environment: ["CREDENTIALS_DIRECTORY": "FOLDER/credentials"]),
        Form(name: "on the command line", content: "", arguments: ["--data-platform-secret", "SECRET"]),
        Form(name: "on the command line with an equals sign", content: "", arguments: ["--data-platform-secret=SECRET"]),
        Form(
            name: "by a file on the command line, which wins over a variable", content: "SECRET\n",
            arguments: ["--data-platform-secret-file", "FOLDER/secret"], environment: ["FIRSTCOME_DATA_PLATFORM_SECRET": "another"]),
    ]

    @Test("posts are signed with the secret however it is given, and nothing that others can see shows it", arguments: forms)
    func platformSecret(form: Form) async throws {
        let platform = try await DataPlatformServer { _ in .status(204) }
        defer { Task { await platform.close() } }
        try await withDataFolder { folder in
            func filled(_ text: String) -> String {
                text.replacingOccurrences(of: "SECRET", with: Self.platformSecret).replacingOccurrences(of: "FOLDER", with: folder)
            }
            try FileManager.default.createDirectory(atPath: folder + "/credentials", withIntermediateDirectories: false)
            try Self.write(
                filled(form.content),
                folder + (form.environment["CREDENTIALS_DIRECTORY"] == nil ? "/secret" : "/credentials/data-platform-secret"))
            #expect(try await Tool.run("demo", "--data", folder).status == 0)
            let arguments = ["--port", "0", "--log-level", "trace", "--data-platform", platform.url] + form.arguments.map(filled)
            // redis-server overwrites its environment, so a script that runs it notes what it was given.
            try Self.write(
                "#!/bin/sh\nenv > \(folder)/environment\nPATH=${PATH#*:} exec redis-server \"$@\"\n", folder + "/redis-server", mode: 0o700)
            var environment = form.environment.mapValues(filled)
            environment["PATH"] = folder + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")
            try await withServe(folder, arguments, environment: environment) { serve in
                try await eventually("an event was posted") { !platform.posts.isEmpty }
                let post = try #require(platform.posts.first)
                let code = HMAC<SHA256>.authenticationCode(
                    for: Data(post.body.utf8), using: SymmetricKey(data: Data(Self.platformSecret.utf8)))
                #expect(post.signature == "sha256=" + code.map { String(format: "%02x", $0) }.joined())

                let redis = try #require(try PrivateRedis(dataFolder: folder).runningPID)
                for pid in [serve.pid, redis] {
                    #expect(try !Self.text("/proc/\(pid)/cmdline").contains(Self.platformSecret), "arguments of \(pid)")
                    #expect(try !Self.text("/proc/\(pid)/cmdline").isEmpty)
                }
                #expect(try !Self.text(folder + "/environment").contains(Self.platformSecret), "environment of redis-server")
                #expect(try Self.text(folder + "/environment").contains("PATH="))
                let pool = HTTPPool(port: serve.port, maximumConnections: 1)
                for path in ["/metrics", "/readyz", "/openapi.json"] {
                    #expect(try await !Caller(pool: pool).get(path).text.contains(Self.platformSecret), "\(path)")
                }
                await pool.close()
                #expect(try await serve.end() == 0)
                #expect(!(serve.firstLine + serve.standardError).contains(Self.platformSecret))
                let isOnCommandLine = form.arguments.contains { $0.contains("SECRET") }
                #expect(serve.standardError.contains("--data-platform-secret is visible to every account") == isOnCommandLine)
            }
            for file in try FileManager.default.subpathsOfDirectory(atPath: folder) where !file.contains("secret") {
                let bytes = (try? Data(contentsOf: URL(fileURLWithPath: folder + "/" + file))) ?? Data()
                #expect(bytes.range(of: Data(Self.platformSecret.utf8)) == nil, "\(file)")
            }
        }
    }

    private static func text(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
    }

    @Test("the password of Redis comes from a file, for the service and for every command that takes --redis")
    func redisPassword() async throws {
        try await withTemporaryRedis(onTCP: true) { redis in
            try redis.cli("ACL", "SETUSER", "shop", "on", ">" + Self.redisPassword, "~*", "&*", "+@all")
            try redis.cli("CONFIG", "SET", "requirepass", Self.redisPassword)
            try await withDataFolder { folder in
                let file = folder + "/redis-password"
                try Self.write(Self.redisPassword + "\n", file)
                #expect(try await Tool.run("demo", "--data", folder).status == 0)
                for url in ["redis://127.0.0.1:\(redis.port ?? 0)", "redis://shop@127.0.0.1:\(redis.port ?? 0)"] {
                    let flags = ["--redis", url, "--redis-password-file", file]
                    try await withServe(folder, ["--port", "0", "--log-level", "trace"] + flags) { serve in
                        let pool = HTTPPool(port: serve.port, maximumConnections: 1)
                        try await eventually("the service is ready") { try await Caller(pool: pool).get("/readyz").status == 200 }
                        await pool.close()
                        let commands = [
                            ["audit"], ["audit", "--json"], ["ranking", "show"], ["ranking", "rebuild"], ["redis", "show"],
                            ["redis", "take"],
                        ]
                        for command in commands {
                            let output = try await Tool.run(command + ["--data", folder] + flags)
                            #expect(output.status == 0, "\(command): \(output)")
                            #expect(!(output.standardOutput + output.standardError).contains(Self.redisPassword), "\(command)")
                        }
                        #expect(try await serve.end() == 0)
                        #expect(!(serve.firstLine + serve.standardError).contains(Self.redisPassword))
                    }
                    #expect(try !Self.text(folder + "/last-redis").contains(Self.redisPassword))
                }
                let credential = ["CREDENTIALS_DIRECTORY": folder]
                let audit = try await Tool.run(
                    ["audit", "--data", folder, "--redis", "redis://127.0.0.1:\(redis.port ?? 0)"], environment: credential)
                #expect(audit.status == 0, "\(audit)")
                let withoutFile = try await Tool.run("audit", "--data", folder, "--redis", "redis://127.0.0.1:\(redis.port ?? 0)")
                #expect(withoutFile.status == 1 && withoutFile.standardError.contains("asks for a password"), "\(withoutFile)")
            }
        }
    }

    @Test("a password in a URL on the command line is used, warned of, and hidden from those who list processes")
    func passwordInURL() async throws {
        try await withTemporaryRedis(arguments: ["--requirepass", Self.redisPassword], onTCP: true) { redis in
            try await withDataFolder { folder in
                let url = "redis://:\(Self.redisPassword)@127.0.0.1:\(redis.port ?? 0)/0"
                for flags in [["--redis", url], ["--redis=" + url]] {
                    try await withServe(folder, ["--port", "0"] + flags) { serve in
                        #expect(serve.standardError.contains("the password in --redis is visible"), "\(serve.standardError)")
                        #expect(serve.standardError.contains("--redis-password-file"))
                        let arguments = try Self.text("/proc/\(serve.pid)/cmdline")
                        let stars = String(repeating: "*", count: Self.redisPassword.utf8.count)
                        #expect(arguments.contains("redis://:\(stars)@127.0.0.1:"), "\(arguments)")
                        #expect(try await serve.end() == 0)
                        #expect(!serve.standardError.contains(Self.redisPassword))
                    }
                }
                try await withServe(folder, ["--port", "0"], environment: ["FIRSTCOME_REDIS": url]) { serve in
                    // Its log is appended to that of the two before.
                    #expect(serve.standardError.components(separatedBy: "is visible").count == 3, "\(serve.standardError)")
                    let status = try await serve.end()
                    #expect(status == 0)
                }
            }
        }
    }

    @Test("help and errors never repeat a secret that the environment or the command line holds")
    func messages() async throws {
        let environment = [
            "FIRSTCOME_DATA_PLATFORM_SECRET": Self.platformSecret, "FIRSTCOME_REDIS": "redis://:\(Self.redisPassword)@localhost:1",
        ]
        for words in [
            ["--help"], ["serve", "--help"], ["--version"], ["serve", "--port", "x"], ["serve", "--nope"], ["audit", "--data", "/no"],
        ] {
            let output = try await Tool.run(words, environment: environment)
            for secret in [Self.platformSecret, Self.redisPassword] {
                #expect(!(output.standardOutput + output.standardError).contains(secret), "\(words): \(output)")
            }
        }
        for url in [
            "redis://\(Self.redisPassword)@h", "redis://:\(Self.redisPassword)@h:x", "redis//:\(Self.redisPassword)@h",
            "redis://:\(Self.redisPassword)%@h",
        ] {
            let output = try await Tool.run("serve", "--redis", url)
            #expect(output.status == 64 && !output.standardError.contains(Self.redisPassword), "\(output)")
        }
    }

    @Test("a secret's file that every account can read is used with a warning", arguments: [0o604, 0o644, 0o602])
    func exposed(mode: Int) async throws {
        try await withDataFolder { folder in
            try Self.write(Self.platformSecret, folder + "/secret", mode: mode)
            let flags = ["--data-platform", "http://127.0.0.1:9/x", "--data-platform-secret-file", folder + "/secret"]
            try await withServe(folder, ["--port", "0"] + flags) { serve in
                #expect(serve.standardError.contains("every account of this machine can use the file of a secret"))
                #expect(serve.standardError.contains("path=\(folder)/secret"))
                let status = try await serve.end()
                #expect(status == 0)
            }
        }
    }

    @Test("the secrets among arguments are found where they are, and nothing else is taken for one")
    func arguments() {
        func warnings(_ words: String...) -> Int { CommandLineSecrets(in: ["firstcome", "serve"] + words).warnings.count }
        #expect(warnings("--redis", "redis://u:p@h") == 1)
        #expect(warnings("--redis=rediss://:p@h/0") == 1)
        #expect(warnings("--redis", "unix://:p@/run/redis.sock") == 1)
        #expect(warnings("--data-platform", "https://u:p@h/events") == 1)
        #expect(warnings("--store", "postgresql://u:p@h,i:1/db?sslmode=require") == 1)
        #expect(warnings("--store=postgresql://u@h/db?sslmode=require&password=p") == 1)
        #expect(warnings("--data-platform-secret", "x", "--redis", "redis://:p@h") == 2)
        for words in [
            ["--redis", "redis://h:6379/0"], ["--redis", "redis://user@h"], ["--redis", "redis://h/a:b@c"],
            ["--data-platform", "https://h:8443/a@b"], ["--store", "postgresql://u@h:1,i:2/db?passfile=/x"],
            ["--data-platform-secret-file", "/run/x"], ["--data-platform-secret="], ["--host", "a:b@c"], ["--redis"],
        ] {
            #expect(CommandLineSecrets(in: ["firstcome", "serve"] + words).warnings.isEmpty, "\(words)")
        }
    }
}
