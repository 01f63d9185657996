import Commerce
import FaultPoints
import Foundation
import JSON
import Services
import TestSupport
import Testing

@testable import App

extension EndToEnd {
    @Suite("The commands on a store on PostgreSQL")
    struct PostgresServeTests {}
}

extension EndToEnd.PostgresServeTests {
    private static let password = "postgres-password-2f6a91d3"

    /// A server that may hold a store, with an empty database, and a folder for a private Redis.
    private struct Home: Sendable {
        let server: TemporaryPostgres
        let folder: String
        let database = "shop"

        var url: String { url(of: database) }

        func url(of database: String) -> String {
            "postgresql:///\(database)?host=\(server.folder.path)&port=\(server.port)&user=\(server.role)"
        }

        func makeDatabase(_ name: String) async throws {
            _ = try await offPool { try server.sql("CREATE DATABASE \(name) ENCODING 'UTF8' TEMPLATE template0") }
        }
    }

    private static func withHome(_ addresses: [String] = [], _ body: @Sendable (Home) async throws -> Void) async throws {
        let access = ["local all all trust", "host all all 127.0.0.0/8 scram-sha-256"]
        let server = try await offPool {
            try TemporaryPostgres(settings: ["fsync": "on"], addresses: addresses, access: access)
        }
        do {
            try await withDataFolder { folder in
                let home = Home(server: server, folder: folder)
                try await home.makeDatabase(home.database)
                try await body(home)
            }
            try await offPool { server.end() }
        } catch {
            try? await offPool { server.end() }
            throw error
        }
    }

    private static func withPool<Value>(_ serve: ServeProcess, _ body: (HTTPPool) async throws -> Value) async throws -> Value {
        let pool = HTTPPool(port: serve.port, maximumConnections: 16)
        do {
            let value = try await body(pool)
            await pool.close()
            return value
        } catch {
            await pool.close()
            throw error
        }
    }

    private static func tokens(_ home: Home, _ choice: String...) async throws -> [String] {
        let output = try await Tool.run(["token", "--store", home.url] + choice)
        #expect(output.status == 0, "\(output.standardError)")
        return output.lines
    }

    private static func serve(
        _ home: Home, _ arguments: [String] = [], _ body: (ServeProcess) async throws -> Void
    ) async throws {
        try await withServe(home.folder, ["--port", "0", "--store", home.url] + arguments, body)
    }

    private static func ready(_ pool: HTTPPool) async throws {
        try await eventually("the service is ready") { try await Caller(pool: pool).get("/readyz").status == 200 }
    }

    @Test("demo, serve, token, audit and ranking work on a database, and nothing of the store is in the folder")
    func tour() async throws {
        try await Self.withHome { home in
            let demo = try await Tool.run("demo", "--store", home.url, "--data", home.folder)
            #expect(demo.status == 0 && demo.standardOutput.hasPrefix("made 1000 users"), "\(demo.standardError)")
            #expect(demo.standardError.contains("no synchronous standby"), "it warns loudly")
            let again = try await Tool.run("demo", "--store", home.url, "--data", home.folder)
            #expect(again.standardOutput.hasPrefix("the store is not empty"))
            let token = try await Self.tokens(home, "--user", "1")[0]
            try await Self.serve(home) { serve in
                #expect(serve.firstLine.contains("(store postgresql://") && !serve.firstLine.contains("data "), "\(serve.firstLine)")
                try await Self.withPool(serve) { pool in
                    try await Self.ready(pool)
                    let user = Caller(pool: pool, token: token, id: 1)
                    try await user.charge(100_000)
                    let coupon = try await user.claim(1).expect(201).int("issuedCouponId")
                    _ = try await user.checkout(1, 2, coupon: coupon).expect(201)
                    #expect(try await user.balance == 100_000 - 2 * 19_900 + 5_000)
                    // Metrics wait for nothing: each scrape shows what the store said last, and asks again.
                    try await eventually("the metrics know that the ranking has counted everything") {
                        let lines = try await user.get("/metrics").expect(200).text.split(separator: "\n")
                        return lines.contains("firstcome_ready 1") && lines.contains("firstcome_ranking_lag_events 0")
                    }
                    let audit = try await Tool.run("audit", "--store", home.url, "--data", home.folder)
                    #expect(audit.status == 0 && audit.standardOutput.contains("every invariant holds"), "\(audit.standardOutput)")
                }
                #expect(try await serve.end() == 0)
            }
            let ranking = try await Tool.run("ranking", "show", "--store", home.url, "--data", home.folder)
            #expect(ranking.status == 0 && ranking.standardOutput.contains("제주 감귤 5kg"), "\(ranking.standardError)")
            let rebuilt = try await Tool.run("ranking", "rebuild", "--store", home.url, "--data", home.folder)
            #expect(rebuilt.status == 0, "\(rebuilt.standardError)")
            for name in ["store.sqlite", "token.key"] {
                #expect(!FileManager.default.fileExists(atPath: home.folder + "/" + name), "\(name)")
            }
            try home.server.sql("UPDATE users SET balance = balance + 1 WHERE id = 1", in: home.database)
            let broken = try await Tool.run("audit", "--store", home.url, "--data", home.folder)
            #expect(broken.status == 1 && broken.standardOutput.contains("BROKEN"), "\(broken.standardOutput)")
        }
    }

    @Test("two services on one database and one Redis serve one shop: users, balances, tokens and the last coupon are shared at once")
    func twoServices() async throws {
        let redis = try await offPool { try TemporaryRedis() }
        defer { redis.end() }
        try await Self.withHome { home in
            try await Self.serve(home, ["--redis", redis.url]) { one in
                try await Self.serve(home, ["--redis", redis.url]) { other in
                    try await Self.withPool(one) { first in
                        try await Self.withPool(other) { second in
                            try await Self.ready(first)
                            try await Self.ready(second)
                            let token = try await Self.tokens(home, "--admin")[0]
                            let admin = Caller(pool: first, token: token)
                            let coupon = try await admin.makeCoupon(quantity: 10)
                            let tokens = try await Self.tokens(home, "--user", "1-40")
                            var users: [(here: Caller, there: Caller)] = []
                            for (index, token) in tokens.enumerated() {
                                let id = try await admin.post("/users", #"{"name": "이바다"}"#).expect(201).int("userId")
                                #expect(id == Int64(index + 1))
                                let user = (Caller(pool: first, token: token, id: id), Caller(pool: second, token: token, id: id))
                                users.append(user)
                                try await user.0.charge(1_000)
                                #expect(try await user.1.balance == 1_000, "made and charged on the other service just now")
                            }
                            #expect(try await users[0].there.get("/users/41/balance").status == 403)
                            #expect(try await Caller(pool: second, token: token).get("/users/41/balance").status == 404)
                            let answers = try await together(users) { user in
                                try await (user.here.id % 2 == 0 ? user.here : user.there).claim(coupon)
                            }
                            #expect(answers.statusCounts == ["201": 10, "409 COUPON_SOLD_OUT": 30])
                            for (user, answer) in zip(users, answers) {
                                let other = try await (user.here.id % 2 == 0 ? user.there : user.here).claim(coupon)
                                #expect(other.code == (answer.status == 201 ? "COUPON_ALREADY_CLAIMED" : "COUPON_SOLD_OUT"))
                            }
                            let audit = try await Tool.run("audit", "--store", home.url, "--redis", redis.url)
                            #expect(audit.status == 0, "\(audit.standardOutput)\(audit.standardError)")
                            let shown = try await Tool.run("redis", "show", "--store", home.url, "--redis", redis.url)
                            #expect(shown.standardOutput.contains("the Redis serves the store of this database"), "\(shown)")
                        }
                    }
                }
            }
        }
    }

    @Test("a server that goes away is named by /readyz, and a service goes on by itself when it is back")
    func serverAway() async throws {
        try await Self.withHome { home in
            try await Self.serve(home) { serve in
                try await Self.withPool(serve) { pool in
                    try await Self.ready(pool)
                    let admin = Caller(pool: pool, token: try await Self.tokens(home, "--admin")[0])
                    let coupon = try await admin.makeCoupon(quantity: 3)
                    let id = try await admin.post("/users", #"{"name": "이바다"}"#).expect(201).int("userId")
                    let user = Caller(pool: pool, token: try await Self.tokens(home, "--user", "\(id)")[0], id: id)
                    try await user.charge(5_000)
                    try await offPool { home.server.stop(.immediate) }
                    let answer = try await Caller(pool: pool).get("/readyz")
                    #expect(answer.status == 503 && answer.text.contains(#""missing":["store"]"#), "\(answer.text)")
                    #expect(try await Caller(pool: pool).get("/healthz").status == 200)
                    let waiting = try await user.get("/users/\(id)/balance")
                    #expect(waiting.status == 503 && waiting[header: "retry-after"] != nil, "\(waiting.text)")
                    try await offPool { try home.server.start() }
                    try await Self.ready(pool)
                    #expect(try await user.balance == 5_000)
                    #expect(try await user.claim(coupon).expect(201).int("sequence") == 1)
                    try await user.charge(1_000)
                    #expect(try await user.balance == 6_000)
                }
                #expect(try await serve.end() == 0)
            }
        }
    }

    @Test("a server that may lose answered writes is refused in one line, and nothing is made in its database")
    func unsuitable() async throws {
        try await Self.withHome { home in
            try await offPool {
                try home.server.sql("ALTER SYSTEM SET fsync = off")
                try home.server.restart(.fast)
            }
            for command in ["serve", "demo"] {
                let output = try await Tool.run(command, "--store", home.url, "--data", home.folder)
                #expect(output.status == 1 && output.complaint.count == 1, "\(output.standardError)")
                #expect(output.complaint[0].contains("its fsync is off") && output.complaint[0].contains("set it to on"))
            }
            #expect(try home.server.sql("SELECT count(*) FROM pg_class WHERE relname = 'users'", in: home.database) == "0")
            #expect(try PrivateRedis(dataFolder: home.folder).runningPID == nil)
        }
    }

    @Test("a password is taken from a file, a credential, a variable or the URL, and nothing that others can see shows it")
    func password() async throws {
        try await Self.withHome(["127.0.0.1"]) { home in
            try await offPool {
                try home.server.sql("CREATE ROLE clerk LOGIN PASSWORD '\(Self.password)'")
                try home.server.sql("GRANT ALL ON SCHEMA public TO clerk", in: home.database)
            }
            let place = "127.0.0.1:\(home.server.port)/\(home.database)"
            let (bare, full) = ("postgresql://clerk@\(place)", "postgresql://clerk:\(Self.password)@\(place)")
            let file = home.folder + "/store-password"
            try Data((Self.password + "\n").utf8).write(to: URL(fileURLWithPath: file))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
            let forms: [(arguments: [String], environment: [String: String], warns: Bool)] = [
                (["--store", bare, "--store-password-file", file], [:], false),
                (["--store=\(bare)"], ["CREDENTIALS_DIRECTORY": home.folder], false),
                ([], ["FIRSTCOME_STORE": full], false),
                (["--store", full], [:], true),
                (["--store=\(bare)?password=\(Self.password)"], [:], true),
            ]
            for form in forms {
                let arguments = ["--port", "0", "--log-level", "trace"] + form.arguments
                try await withServe(home.folder, arguments, environment: form.environment) { serve in
                    let line = try String(contentsOfFile: "/proc/\(serve.pid)/cmdline", encoding: .utf8)
                    #expect(!line.isEmpty && !line.contains(Self.password))
                    try await Self.withPool(serve) { pool in
                        for path in ["/metrics", "/readyz"] {
                            let text = try await Caller(pool: pool).get(path).text
                            #expect(!text.contains(Self.password), "\(path)")
                        }
                    }
                    #expect(!serve.standardOutput.contains(Self.password))
                    #expect(!serve.standardError.contains(Self.password))
                    #expect(serve.standardError.contains("use --store-password-file instead") == form.warns)
                    #expect(try await serve.end() == 0)
                }
                try FileManager.default.removeItem(atPath: home.folder + "/serve.log")
            }
            let wrong = "postgresql://clerk:\(Self.password)-wrong@\(place)"
            for output in [
                try await Tool.run("audit", "--store", wrong, "--data", home.folder),
                try await Tool.run(["token", "--store", bare, "--user", "1"]),
                try await Tool.run(["token", "--store", "postgresql://clerk:\(Self.password)@\(place)?nonsense=1", "--user", "1"]),
            ] {
                #expect(output.status != 0 && output.complaint.count == 1, "\(output.standardError)")
                #expect(!(output.standardOutput + output.standardError).contains(Self.password), "\(output.standardError)")
            }
        }
    }

    @Test("the keys of tokens are in the store: a rotation reaches every service by SIGHUP, and the former key's tokens go on")
    func keys() async throws {
        try await Self.withHome { home in
            try await Self.serve(home) { serve in
                try await Self.withPool(serve) { pool in
                    try await Self.ready(pool)
                    let former = try await Self.tokens(home, "--admin")[0]
                    let rotated = try await Tool.run("key", "rotate", "--store", home.url, "--keep", "1h")
                    #expect(rotated.status == 0 && rotated.lines.count == 3, "\(rotated.standardOutput)\(rotated.standardError)")
                    let present = try await Self.tokens(home, "--admin")[0]
                    #expect(try await Caller(pool: pool, token: present).post("/users", #"{"name": "가"}"#).status == 401)
                    serve.send(SIGHUP)
                    try await eventually("the new key is taken") {
                        try await Caller(pool: pool, token: present).post("/users", #"{"name": "가"}"#).status == 201
                    }
                    #expect(try await Caller(pool: pool, token: former).post("/users", #"{"name": "가"}"#).status == 201)
                    _ = try await Tool.run("key", "rotate", "--store", home.url, "--keep", "0s")
                    #expect(try await Tool.run("key", "list", "--store", home.url).lines.count == 2, "the second one is gone at once")
                    serve.send(SIGHUP)
                    try await eventually("the second key has ended") {
                        try await Caller(pool: pool, token: present).post("/users", #"{"name": "가"}"#).status == 401
                    }
                    #expect(try await Caller(pool: pool, token: former).post("/users", #"{"name": "가"}"#).status == 201)
                }
            }
        }
    }

    @Test("an outgrown store is moved: every row, the token key and the numbers go on in the database, with the same Redis")
    func move() async throws {
        try await Self.withHome { home in
            #expect(try await Tool.run("demo", "--data", home.folder).status == 0)
            let token = try await Tool.run("token", "--data", home.folder, "--user", "1").lines[0]
            var claimed: HTTPAnswer?
            try await withServe(home.folder) { serve in
                try await Self.withPool(serve) { pool in
                    try await Self.ready(pool)
                    let user = Caller(pool: pool, token: token, id: 1)
                    _ = try await user.post("/users/1/balance/charges", #"{"amount": 100000}"#, key: "once").expect(201)
                    claimed = try await user.claim(1).expect(201)
                    _ = try await user.checkout(1).expect(201)
                    let operatorToken = try await Tool.run("token", "--data", home.folder, "--admin", "--subject", "kim").lines[0]
                    _ = try await Caller(pool: pool, token: operatorToken).makeProduct()
                    let refused = try await Tool.run("move", "--data", home.folder, "--store", home.url)
                    #expect(refused.status == 1 && refused.standardError.contains("in use by another firstcome"), "\(refused)")
                }
                #expect(try await serve.end() == 0)
            }
            let moved = try await Tool.run("move", "--data", home.folder, "--store", home.url)
            #expect(moved.status == 0 && moved.standardOutput.contains("\nusers: 1000 rows\n"), "\(moved.standardError)")
            #expect(moved.standardOutput.contains("every row is equal"))
            let again = try await Tool.run("move", "--data", home.folder, "--store", home.url)
            #expect(again.status == 1 && again.standardError.contains("has a store with rows already"), "\(again.standardError)")
            #expect(
                try await Tool.run("key", "list", "--store", home.url).lines[0].prefix(12)
                    == Tool.run("key", "list", "--data", home.folder).lines[0].prefix(12))
            try await Self.serve(home) { serve in
                try await Self.withPool(serve) { pool in
                    try await Self.ready(pool)
                    let user = Caller(pool: pool, token: token, id: 1)
                    let replayed = try await user.post("/users/1/balance/charges", #"{"amount": 100000}"#, key: "once").expect(201)
                    #expect(replayed[header: "idempotent-replayed"] == "true")
                    #expect(try await user.balance == 100_000 - 19_900)
                    #expect(try await user.claim(1).value("issuedCoupon") == claimed?.json())
                    let next = try await Tool.run("token", "--store", home.url, "--user", "2").lines[0]
                    #expect(try await Caller(pool: pool, token: next, id: 2).claim(1).expect(201).int("sequence") == 2)
                    _ = try await user.checkout(2).expect(409)
                    _ = try await user.checkout(1).expect(201)
                    let admin = Caller(pool: pool, token: try await Self.tokens(home, "--admin")[0])
                    #expect(try await admin.post("/users", #"{"name": "가"}"#).expect(201).int("userId") == 1_001)
                    let log = try await admin.get("/admin/log").expect(200).items()
                    #expect(log.map { $0["logId"]?.int } == [2, 1] && log.map { $0["actor"]?.string } == ["admin", "kim"])
                    try await eventually("the ranking has counted the sale") {
                        try await admin.get("/products/top").expect(200).text.contains(#""unitsSold":23"#)
                    }
                    let audit = try await Tool.run("audit", "--store", home.url, "--data", home.folder)
                    #expect(audit.status == 0, "\(audit.standardOutput)")
                }
                #expect(serve.standardError.contains("the data folder has a store of its own, which is not used"))
            }
        }
    }

    @Test(
        "a service that is killed around a commit leaves each action of an admin with its entry, and no entry without its action",
        arguments: AdminLogAfterKill.points)
    func killed(_ point: FaultPoint) async throws {
        try await Self.withHome { home in
            let store = ["--store", home.url]
            try await AdminLogAfterKill(folder: home.folder, serve: store, token: ["--store", home.url]).check(point)
        }
    }

    @Test("a store that breaks a rule is not moved, and neither is one whose rows the database would not take; both leave it empty")
    func refusedMoves() async throws {
        try await Self.withHome { home in
            #expect(try await Tool.run("demo", "--data", home.folder).status == 0)
            func edit(_ sql: String) async throws {
                let output = try await Tool.run(program: ["python3", "-c", Self.editor, home.folder + "/store.sqlite", sql])
                #expect(output.status == 0, "\(output.standardError)")
            }
            try await edit("UPDATE users SET balance = balance + 1 WHERE id = 1000")
            let broken = try await Tool.run("move", "--data", home.folder, "--store", home.url)
            #expect(broken.status == 1 && broken.standardError.contains("breaks a rule of the audit: a balance"), "\(broken.standardError)")
            try await edit("UPDATE users SET balance = balance - 1, name = 'a' || char(0) || 'b' WHERE id = 1000")
            let foreign = try await Tool.run("move", "--data", home.folder, "--store", home.url)
            #expect(foreign.status == 1 && foreign.standardError.contains("NUL"), "\(foreign.standardError)")
            #expect(try home.server.sql("SELECT count(*) FROM users", in: home.database) == "0")
            try await edit("UPDATE users SET name = '가' WHERE id = 1000")
            #expect(try await Tool.run("move", "--data", home.folder, "--store", home.url).status == 0)
        }
    }

    private static let editor = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute(sys.argv[2]); db.commit()"

    @Test("what makes no sense together is refused, and backup says what copies a PostgreSQL")
    func options() async throws {
        let url = "postgresql://nobody@127.0.0.1:1/none"
        for (arguments, words) in [
            (["token", "--store", url, "--data", "/tmp", "--user", "1"], "either --store or --data"),
            (["key", "list", "--store", url, "--data", "/tmp"], "either --store or --data"),
            (["serve", "--store", url, "--redis", "redis://127.0.0.1:1", "--data", "/tmp"], "--data has no use"),
            (["audit", "--store", url, "--redis", "redis://127.0.0.1:1", "--data", "/tmp"], "--data has no use"),
            (["serve", "--store", "mysql://x"], "starts with postgresql://"),
            (["serve", "--store-password-file", "/tmp/x"], "needs --store"),
            (["move", "--data", "/tmp"], "--store is missing"),
        ] {
            let output = try await Tool.run(arguments)
            #expect(output.status == 64 && output.standardError.contains(words), "\(arguments): \(output.standardError)")
        }
        let backup = try await Tool.run("backup", "--store", url, "/tmp/never")
        #expect(backup.status == 1 && backup.standardError.contains("pg_basebackup") && backup.standardError.contains("pg_dump"))
        let away = try await Tool.run("token", "--store", url, "--user", "1")
        #expect(away.status == 1 && away.complaint.count == 1 && away.standardError.contains("cannot be reached"), "\(away.standardError)")
    }

    @Test(
        "FIRSTCOME_STORE and FIRSTCOME_DATA: the folder counts where the private Redis may be in it, and a folder that was named wins",
        arguments: [
            (["token"], "S D", "--store=S"), (["token", "--data", "E"], "S D", "--data E"),
            (["token", "--store", "T"], "S D", "--store T"),
            (["audit"], "S D", "--data=D --store=S"), (["audit"], "S D R", "--store=S --redis=R"), (["audit"], "D R", "--data=D --redis=R"),
            (["backup", "--data=E"], "S", "--data=E"),
        ])
    func environment(arguments: [String], variables: String, expected: String) {
        var environment: [String: String] = [:]
        for name in variables.split(separator: " ") {
            environment[["S": "FIRSTCOME_STORE", "D": "FIRSTCOME_DATA", "R": "FIRSTCOME_REDIS"][name, default: ""]] = String(name)
        }
        #expect(EnvironmentFlags.merged(into: arguments, environment: environment).dropFirst().joined(separator: " ") == expected)
    }
}
