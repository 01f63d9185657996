import Foundation
import GRDB
import TestSupport
import Testing

extension EndToEnd {
    @Suite("What a start that fails says")
    struct StartErrorTests {}
}

/// A way in which a start fails, and what the one line has to say.
struct StartFailure: Sendable, CustomTestStringConvertible {
    let name: String
    /// What is done to the data folder, which has a store and a key, before the start.
    var prepare: @Sendable (String) throws -> Void = { _ in }
    /// The flags after `serve`; `FOLDER` stands for the data folder.
    var arguments = ["--data", "FOLDER", "--port", "0"]
    var environment: [String: String] = [:]
    /// Whether it is started as an account without any right, which only root can do.
    var isUnprivileged = false
    /// Puts a command before the program.
    var wrapping: @Sendable ([String]) -> [String] = { $0 }
    var status: Int32 = 1
    /// The parts of the line, in this order.
    let says: [String]

    var testDescription: String { name }
}

extension StartFailure {
    private static func changing(_ file: String, _ bytes: [UInt8]?) -> @Sendable (String) throws -> Void {
        { folder in
            let path = folder + "/" + file
            for companion in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + companion) }
            guard let bytes else { return try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        }
    }

    private static func serve(_ arguments: String...) -> [String] { ["--data", "FOLDER", "--port", "0"] + arguments }

    private static func mode(_ mode: Int, of file: String = "") -> @Sendable (String) throws -> Void {
        { try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: $0 + file) }
    }

    private static func giveAway(_ file: String) -> @Sendable (String) throws -> Void {
        { folder in #expect(chown(folder + file, 65_534, 65_534) == 0) }
    }

    static let all: [StartFailure] = listening + folders + stores + keys + flags

    private static let listening = [
        StartFailure(
            name: "an address of another machine", arguments: ["--data", "FOLDER", "--host", "203.0.113.7"],
            says: ["cannot listen on http://203.0.113.7:8080", "does not have that address", "--host"]),
        StartFailure(
            name: "an unknown host", arguments: ["--data", "FOLDER", "--host", "no host"],
            says: ["the host no host is not known", "--host"]),
        StartFailure(
            name: "a privileged port", prepare: giveAway(""), arguments: ["--data", "FOLDER", "--port", "80"], isUnprivileged: true,
            says: ["cannot listen on http://127.0.0.1:80", "nobody", "may not use port 80", "from 1024 on", "CAP_NET_BIND_SERVICE"]),
        StartFailure(
            name: "a unix socket with a long path",
            arguments: ["--data", "FOLDER", "--host", "unix:/tmp/" + String(repeating: "x", count: 120)],
            status: 64, says: ["at most 107 bytes, and this one has 125"]),
        StartFailure(
            name: "a unix socket in a folder that is not there", arguments: ["--data", "FOLDER", "--host", "unix:/no/such/folder/x.sock"],
            says: ["/no/such/folder", "does not exist", "make it"]),
        StartFailure(
            name: "a unix socket where a file is", arguments: ["--data", "FOLDER", "--host", "unix:FOLDER/token.key"],
            says: ["token.key exists and is not a socket"]),
        StartFailure(
            name: "a unix socket where the account may not write", prepare: giveAway(""),
            arguments: ["--data", "FOLDER", "--host", "unix:/usr/x.sock"], isUnprivileged: true,
            says: ["cannot listen on unix:/usr/x.sock", "nobody", "may not write in /usr"]),
        StartFailure(
            name: "too few descriptors", wrapping: { ["sh", "-c", #"ulimit -n 60; exec "$@""#, "sh"] + $0 },
            says: ["limit of open files (ulimit -n) is 60", "needs"]),
    ]

    private static let folders = [
        StartFailure(
            name: "a data folder that is a file", arguments: ["--data", "FOLDER/token.key"], says: ["token.key is a file", "--data"]),
        StartFailure(
            name: "a data folder below a file", arguments: ["--data", "FOLDER/token.key/x"],
            says: ["cannot be made", "is a file", "--data"]),
        StartFailure(
            name: "a data folder that cannot be made", arguments: ["--data", "/usr/firstcome-data"], isUnprivileged: true,
            says: ["/usr/firstcome-data cannot be made", "nobody", "install -d -m 0700 -o nobody"]),
        StartFailure(
            name: "a data folder of root", isUnprivileged: true,
            says: ["belongs to the account root", "nobody", "may not write there", "chown -R nobody"]),
        StartFailure(
            name: "root on the data folder of another account", prepare: giveAway(""),
            says: ["belongs to the account nobody", "run this as that account", "runuser -u nobody"]),
        StartFailure(
            name: "a data folder that its account may not write",
            prepare: {
                try giveAway("")($0); try mode(0o500)($0)
            }, isUnprivileged: true,
            says: ["cannot be written by its own account", "chmod u+rwx"]),
        StartFailure(
            name: "a data folder with a path too long for a socket", arguments: ["--data", "FOLDER/" + String(repeating: "y", count: 100)],
            says: ["too long for a unix socket", "at most 107"]),
        StartFailure(
            name: "a lock of another account",
            prepare: {
                try giveAway("")($0); try Data().write(to: URL(fileURLWithPath: $0 + "/lock")); try mode(0o600, of: "/lock")($0)
            },
            isUnprivileged: true, says: ["/lock belongs to the account root", "chown nobody"]),
        StartFailure(
            name: "a file where the private Redis has its folder", prepare: changing("redis", [1]),
            says: ["/redis is no folder", "move it away"]),
        StartFailure(
            name: "no redis-server", wrapping: { ["env", "PATH=/nonexistent"] + $0 },
            says: ["redis-server is not installed", "apt-get install redis-server", "--redis"]),
    ]

    private static let stores = [
        StartFailure(
            name: "a store that is text", prepare: changing("store.sqlite", Array("hello\n".utf8)),
            says: ["damaged or is no database", "store.sqlite", "firstcome restore --data", "--data"]),
        StartFailure(
            name: "a store that is cut short",
            prepare: { folder in
                let bytes = try Data(contentsOf: URL(fileURLWithPath: folder + "/store.sqlite"))
                try changing("store.sqlite", Array(bytes.prefix(20_000)))(folder)
            },
            says: ["damaged", "firstcome restore"]),
        StartFailure(
            name: "a database of another program",
            prepare: { folder in
                try changing("store.sqlite", [])(folder)
                let queue = try storeConnection(in: folder)
                try queue.write { try $0.execute(sql: "CREATE TABLE notes (text)") }
                try queue.close()
            },
            says: ["database of another program", "store.sqlite"]),
        StartFailure(
            name: "a store of a newer version",
            prepare: { folder in
                let queue = try storeConnection(in: folder)
                try queue.write { try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('v999')") }
                try queue.close()
            },
            says: ["written by a newer version", "use that version or a backup", "store.sqlite"]),
        StartFailure(
            name: "a store that is a folder", prepare: changing("store.sqlite", nil), says: ["store.sqlite is no file", "--data"]),
        StartFailure(
            name: "a store of another account",
            prepare: {
                try giveAway("")($0); try giveAway("/token.key")($0)
            }, isUnprivileged: true,
            says: ["store.sqlite belongs to the account root", "nobody", "chown nobody"]),
    ]

    private static let keys = [
        StartFailure(
            name: "a token key that others can read", prepare: mode(0o644, of: "/token.key"), says: ["token.key", "must be 0600"]),
        StartFailure(
            name: "a token key that is too short", prepare: changing("token.key", [1, 2]), says: ["not a key of 32 bytes", "remove"]),
        StartFailure(name: "a token key that is a folder", prepare: changing("token.key", nil), says: ["not a key of 32 bytes"]),
        StartFailure(
            name: "a token key that is a link",
            prepare: { folder in
                try FileManager.default.moveItem(atPath: folder + "/token.key", toPath: folder + "/elsewhere")
                try FileManager.default.createSymbolicLink(atPath: folder + "/token.key", withDestinationPath: "elsewhere")
            },
            says: ["token.key is a symbolic link"]),
    ]

    private static let flags = [
        StartFailure(
            name: "a Redis URL with another scheme", arguments: serve("--redis", "http://localhost"), status: 64,
            says: ["--redis", "starts with redis://", "See 'firstcome serve --help'"]),
        StartFailure(
            name: "a Redis URL with a port that is none", arguments: serve("--redis", "redis://localhost:99999"), status: 64,
            says: ["--redis", "port", "1 to 65535"]),
        StartFailure(
            name: "a data platform that is no URL", arguments: serve("--data-platform", "ftp://x"),
            environment: ["FIRSTCOME_DATA_PLATFORM_SECRET": "s"],
            status: 64, says: ["--data-platform takes an http:// or https:// URL"]),
        StartFailure(
            name: "a data platform without a secret", arguments: serve("--data-platform", "http://127.0.0.1:9"), status: 64,
            says: ["--data-platform-secret-file"]),
        StartFailure(
            name: "an unknown time zone", arguments: serve("--time-zone", "Mars/Olympus"), status: 64,
            says: ["--time-zone Mars/Olympus: there is no such time zone"]),
        StartFailure(name: "an unknown flag", arguments: serve("--nope"), status: 64, says: ["--nope", "See 'firstcome serve --help'"]),
        StartFailure(
            name: "a variable that is no number", environment: ["FIRSTCOME_LOOPS": "many"], status: 64, says: ["many", "--loops"]),
        StartFailure(
            name: "a secret file that is not there",
            arguments: serve("--data-platform", "http://127.0.0.1:9", "--data-platform-secret-file", "FOLDER/no"),
            says: ["--data-platform-secret-file", "/no: there is no such file"]),
        StartFailure(
            name: "an empty secret file", prepare: changing("secret", [10]),
            arguments: serve("--data-platform", "http://127.0.0.1:9", "--data-platform-secret-file", "FOLDER/secret"),
            says: ["the file is empty"]),
        StartFailure(
            name: "a secret file that is a folder",
            arguments: serve("--data-platform", "http://127.0.0.1:9", "--data-platform-secret-file", "FOLDER"),
            says: ["it is a folder"]),
        StartFailure(
            name: "a secret file that is too long", prepare: changing("secret", [UInt8](repeating: 65, count: 5_000)),
            arguments: serve("--data-platform", "http://127.0.0.1:9", "--data-platform-secret-file", "FOLDER/secret"),
            says: ["at most 4096 bytes"]),
        StartFailure(
            name: "a secret file that the account may not read",
            prepare: {
                try giveAway("")($0); try changing("secret", [65])($0)
            },
            arguments: serve("--data-platform", "http://127.0.0.1:9", "--data-platform-secret-file", "FOLDER/secret"), isUnprivileged: true,
            says: ["secret: the account nobody", "may not read it"]),
        StartFailure(
            name: "both forms of a secret", arguments: serve("--data-platform", "http://127.0.0.1:9"),
            environment: ["FIRSTCOME_DATA_PLATFORM_SECRET": "s", "FIRSTCOME_DATA_PLATFORM_SECRET_FILE": "/x"], status: 64,
            says: ["not both"]),
        StartFailure(
            name: "a password file without a Redis", arguments: serve("--redis-password-file", "/x"), status: 64,
            says: ["--redis-password-file needs --redis"]),
        StartFailure(
            name: "two passwords for a Redis", arguments: serve("--redis-password-file", "/x"),
            environment: ["FIRSTCOME_REDIS": "redis://:s@localhost"], status: 64, says: ["holds a password, and another one is given"]),
    ]
}

extension EndToEnd.StartErrorTests {
    /// Runs `body` with a folder in which a service could start: it has a store and a key.
    private func withUsedFolder(_ body: (String) async throws -> Void) async throws {
        try await withDataFolder { folder in
            try makeStoreCountingFrom1(folder)
            #expect(try await Tool.run("token", "--data", folder, "--admin").status == 0)
            try await body(folder)
        }
    }

    private static func asNobody(_ command: [String]) -> [String] {
        // The program is opened as root: another account may not be able to enter the folders above it.
        let script = #"exec 9<"$1"; shift; exec setpriv --reuid=65534 --regid=65534 --clear-groups -- /proc/self/fd/9 "$@""#
        return ["sh", "-c", script, "sh"] + command
    }

    /// Phrases of programs that do not know what to say.
    private static let emptyPhrases = [
        "could not be completed", "couldn’t be completed", "NSCocoaErrorDomain", "NSPOSIXErrorDomain", "Domain=", "Fatal error", "Swift.",
        "NIO",
    ]

    private static func expectOneLine(_ output: Tool.Output, _ status: Int32, says parts: [String], _ name: String) {
        #expect(output.status == status && output.standardOutput.isEmpty && output.complaint.count == 1, "\(name): \(output)")
        var rest = output.standardError[...]
        for part in parts {
            let found = rest.range(of: part)
            #expect(found != nil, "\(name) says \"\(part)\": \(output.standardError)")
            rest = rest[(found?.upperBound ?? rest.startIndex)...]
        }
        for phrase in emptyPhrases { #expect(!output.standardError.contains(phrase), "\(name): \(output.standardError)") }
    }

    @Test("it says in one line what is wrong and what to do", arguments: StartFailure.all)
    func oneLine(failure: StartFailure) async throws {
        // Only root can give files away, and become another account.
        guard !failure.isUnprivileged || geteuid() == 0 else { return }
        try await withUsedFolder { folder in
            try failure.prepare(folder)
            let arguments = failure.arguments.map { $0.replacingOccurrences(of: "FOLDER", with: folder) }
            let output = try await Tool.run(["serve"] + arguments, environment: failure.environment) { command in
                failure.isUnprivileged ? Self.asNobody(failure.wrapping(command)) : failure.wrapping(command)
            }
            Self.expectOneLine(output, failure.status, says: failure.says, failure.name)
        }
    }

    @Test("a port in use and a folder in use are named")
    func inUse() async throws {
        try await withUsedFolder { folder in
            try await withServe(folder) { serve in
                try await withUsedFolder { other in
                    let port = try await Tool.run("serve", "--data", other, "--port", String(serve.port))
                    Self.expectOneLine(port, 1, says: ["http://127.0.0.1:\(serve.port) is in use", "--port"], "port")
                    // The port is looked at before anything is started.
                    #expect(port.standardError.split(separator: "\n").count == 1, "\(port)")
                }
                let same = try await Tool.run("serve", "--data", folder, "--port", "0")
                Self.expectOneLine(same, 1, says: [folder, "in use by another firstcome", "stop that one"], "folder")
            }
        }
    }

    @Test("a full disk is named", .enabled(if: SmallDisk.whyUnavailable == nil, "no small disk can be mounted"))
    func fullDisk() async throws {
        try await withSmallDisk(mebibytes: 1) { disk in
            try disk.fill()
            let output = try await Tool.run(["serve", "--data", disk.folder + "/data", "--port", "0"], wrapping: disk.command)
            #expect(output.status == 1 && output.complaint.count == 1, "\(output)")
            #expect(output.standardError.contains("\(disk.folder)/data/token.key cannot be written: the disk is full"), "\(output)")
        }
    }

    /// What is done to a Redis, the URL of it, and what the line says.
    private static let redisFailures: [(name: String, setup: [[String]], url: @Sendable (Int) -> String, says: [String])] = [
        (
            "a missing password", [["CONFIG", "SET", "requirepass", "hidden"]], { "redis://127.0.0.1:\($0)" },
            ["asks for a password", "--redis-password-file"]
        ),
        (
            "a wrong password", [["CONFIG", "SET", "requirepass", "hidden"]], { "redis://:mistaken@127.0.0.1:\($0)" },
            ["refuses the user or the password", "--redis-password-file"]
        ),
        ("a database that is not there", [], { "redis://127.0.0.1:\($0)/99" }, ["DB index is out of range", "--redis"]),
        (
            "an evicting policy", [["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]], { "redis://127.0.0.1:\($0)" },
            ["allkeys-lru", "set it to noeviction"]
        ),
        (
            "a user without a permission", [["ACL", "SETUSER", "low", "on", ">hidden", "~*", "+@all", "-info"]],
            { "redis://low:hidden@127.0.0.1:\($0)" }, ["lacks a permission", "ACL SETUSER", "info"]
        ),
    ]

    @Test("a Redis that refuses the service is named, with what to do and without the password", arguments: redisFailures.indices)
    func redisRefuses(index: Int) async throws {
        let failure = Self.redisFailures[index]
        try await withTemporaryRedis(onTCP: true) { redis in
            for command in failure.setup { try redis.cli(command) }
            try await withUsedFolder { folder in
                let url = failure.url(try #require(redis.port))
                let output = try await Tool.run(["serve", "--data", folder, "--port", "0"], environment: ["FIRSTCOME_REDIS": url])
                Self.expectOneLine(output, 1, says: ["cannot be used"] + failure.says, failure.name)
                for secret in ["hidden", "mistaken"] { #expect(!output.standardError.contains(secret), "\(output)") }
                let audit = try await Tool.run(["audit", "--data", folder], environment: ["FIRSTCOME_REDIS": url])
                #expect(audit.status == 1 && audit.complaint.count == 1 && audit.standardError.contains("cannot be used"), "\(audit)")
            }
        }
    }

    @Test("what listens at the address of Redis and speaks another protocol is named")
    func noRedis() async throws {
        try await withUsedFolder { folder in
            try await withServe(folder) { other in
                try await withUsedFolder { folder in
                    let output = try await Tool.run("serve", "--data", folder, "--port", "0", "--redis", "redis://127.0.0.1:\(other.port)")
                    Self.expectOneLine(output, 1, says: ["cannot be used", "does not speak as a Redis does", "--redis"], "protocol")
                }
            }
        }
    }

    @Test("a Redis that does not answer is no reason to end: the log says so, claims wait, the rest is served")
    func redisAway() async throws {
        try await withUsedFolder { folder in
            let port = try TemporaryRedis.freePort()
            try await withServe(folder, ["--port", "0", "--redis", "redis://127.0.0.1:\(port)"]) { serve in
                try await eventually("the log says so") { serve.standardError.contains("Connection refused") }
                let pool = HTTPPool(port: serve.port, maximumConnections: 1)
                #expect(try await Caller(pool: pool).get("/products?limit=1").status == 200)
                #expect(try await Caller(pool: pool).get("/readyz").status == 503)
                await pool.close()
                #expect(try await serve.end() == 0)
            }
        }
    }
}
