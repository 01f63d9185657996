import CLibPQ
import Testing

@testable import Postgres

@Suite struct EndpointTests {
    static let urls: [(String, PostgresEndpoint)] = [
        ("postgresql://localhost", PostgresEndpoint(hosts: [.tcp(name: "localhost", port: 5432)])),
        ("postgres://h:6000/shop", PostgresEndpoint(hosts: [.tcp(name: "h", port: 6000)], database: "shop")),
        (
            "postgresql://ann:p%40ss%3A%2F@a,b:5433,[::1]:5434/d%20b",
            PostgresEndpoint(
                hosts: [.tcp(name: "a", port: 5432), .tcp(name: "b", port: 5433), .tcp(name: "::1", port: 5434)], user: "ann",
                password: "p@ss:/", database: "d b")
        ),
        ("POSTGRESQL://u@h/", PostgresEndpoint(hosts: [.tcp(name: "h", port: 5432)], user: "u")),
        ("postgresql://u:@h", PostgresEndpoint(hosts: [.tcp(name: "h", port: 5432)], user: "u")),
        ("postgresql:///d", PostgresEndpoint(hosts: [.unix(folder: "/var/run/postgresql", port: 5432)], database: "d")),
        ("postgresql://%2Frun%2Fpg:5433/d", PostgresEndpoint(hosts: [.unix(folder: "/run/pg", port: 5433)], database: "d")),
        ("postgresql:///d?host=/run/pg", PostgresEndpoint(hosts: [.unix(folder: "/run/pg", port: 5432)], database: "d")),
        (
            "postgresql:///?host=a,/b&port=1,2&user=u&password=p&dbname=d",
            PostgresEndpoint(hosts: [.tcp(name: "a", port: 1), .unix(folder: "/b", port: 2)], user: "u", password: "p", database: "d")
        ),
        (
            "postgresql://?host=a,b&port=7",
            PostgresEndpoint(hosts: [.tcp(name: "a", port: 7), .tcp(name: "b", port: 7)])
        ),
    ]

    @Test("a URL names its hosts, user, password and database", arguments: urls)
    func parses(url: String, endpoint: PostgresEndpoint) throws {
        #expect(try PostgresEndpoint(url: url) == endpoint)
        #expect(try PostgresEndpoint(url: url).password == endpoint.password)
    }

    @Test("libpq reads the same from a URL", arguments: urls)
    func asLibpq(url: String, endpoint: PostgresEndpoint) throws {
        var message: UnsafeMutablePointer<CChar>?
        let options = try #require(PQconninfoParse(url.replacing("POSTGRESQL", with: "postgresql"), &message))
        defer { PQconninfoFree(options) }
        var found: [String: String] = [:]
        var next = options
        while let keyword = next.pointee.keyword {
            if let value = next.pointee.val { found[String(cString: keyword)] = String(cString: value) }
            next += 1
        }
        func text(_ host: PostgresEndpoint.Host) -> (String, Int) {
            switch host {
            case .tcp(let name, let port): (name, port)
            case .unix(let folder, let port): (folder, port)
            }
        }
        let places = endpoint.hosts.map(text)
        #expect((found["host"] ?? "/var/run/postgresql") == places.map(\.0).joined(separator: ","))
        let ports = (found["port"] ?? "").split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 5432 }
        #expect((ports.count == 1 ? places.map { _ in ports[0] } : ports) == places.map(\.1))
        #expect(found["user"] == endpoint.user)
        #expect((found["password"] ?? "") == (endpoint.password ?? ""))
        #expect((found["dbname"] ?? "") == (endpoint.database ?? ""))
    }

    @Test("options choose role, encryption, certificates and timers")
    func options() throws {
        let endpoint = try PostgresEndpoint(
            url:
                "postgresql://h/d?target_session_attrs=read-write&sslmode=verify-full&sslrootcert=/ca%20.pem&connect_timeout=7&keepalives_idle=9"
        )
        #expect(endpoint.role == .readWrite)
        #expect(endpoint.encryption == .verifyFull)
        #expect(endpoint.rootCertificate == "/ca .pem")
        #expect(endpoint.options == ["connect_timeout": "7", "keepalives_idle": "9"])
        #expect(PostgresConfiguration(endpoint: endpoint).addressTimeout == .seconds(7))
        for role in PostgresEndpoint.Role.allCases {
            #expect(try PostgresEndpoint(url: "postgresql://h?target_session_attrs=\(role.rawValue)").role == role)
        }
        for mode in PostgresEndpoint.Encryption.allCases {
            #expect(try PostgresEndpoint(url: "postgresql://h?sslmode=\(mode.rawValue)").encryption == mode)
        }
    }

    @Test(
        "a URL that cannot work is refused in one line that does not repeat its password",
        arguments: [
            "", "h:5432", "mysql://u:secret@h", "host=h password=secret", "postgresql://u:secret@:5432",
            "postgresql://u:secret@h:0", "postgresql://u:secret@h:65536", "postgresql://u:secret@h:x", "postgresql://u:secret@h:-1",
            "postgresql://u:secret@h,", "postgresql://u:secret%4@h", "postgresql://u:secret%zz@h", "postgresql://u:secret%00@h",
            "postgresql://u:secret%FF@h", "postgresql://u:secret/2@h", "postgresql://u:secret#2@h", "postgresql://u:secret@[::1",
            "postgresql://u:secret@[::1]x", "postgresql://u:secret@h/d?password=secret", "postgresql://u:secret@h/d?dbname=e",
            "postgresql://u:secret@h?host=g", "postgresql://u:secret@h?sslmode=secret",
            "postgresql://u:secret@h?target_session_attrs=secret",
            "postgresql://u:secret@h?sslpassword=secret", "postgresql://u:secret@h?secret", "postgresql://u:secret@h?Secret=1",
            "postgresql://u:secret@h?keepalives_idle=secret", "postgresql://u:secret@h?sslrootcert=/ca.pem",
            "postgresql://?host=a,b&port=1,2,3", "postgresql://a b/d", "postgresql://h?connect_timeout=1&connect_timeout=2",
        ])
    func refuses(url: String) throws {
        let error = try #require(throws: PostgresError.self) { _ = try PostgresEndpoint(url: url) }
        #expect(error.code == .misconfigured)
        #expect(error.outcome == .notSent)
        #expect(!"\(error)\(String(reflecting: error))".contains("secret"))
        #expect(!error.message.contains("\n"))
    }

    @Test("a password is given in the URL or beside it, not twice")
    func passwordBeside() throws {
        #expect(try PostgresEndpoint(url: "postgresql://u@h", password: "x").password == "x")
        #expect(throws: PostgresError.self) { _ = try PostgresEndpoint(url: "postgresql://u:secret@h", password: "x") }
    }

    @Test("no way of printing an endpoint shows the password")
    func hidesPassword() throws {
        let endpoint = try PostgresEndpoint(url: "postgresql://ann:secret@h,g:1/d?sslmode=require")
        #expect("\(endpoint)" == "postgresql://ann:***@h,g:1/d?sslmode=require")
        var printed = ""
        dump(endpoint, to: &printed)
        dump(PostgresConfiguration(endpoint: endpoint), to: &printed)
        printed += String(reflecting: endpoint) + String(reflecting: PostgresConfiguration(endpoint: endpoint)) + "\([endpoint])"
        #expect(!printed.contains("secret"))
    }

    @Test(
        "an endpoint prints as a URL that reads back as the same endpoint",
        arguments: [
            "postgresql://h", "postgresql://a,b:5433/d", "postgresql://u@[::1]:7/d%20b?application_name=a%26b&sslmode=require",
            "postgresql://%2Frun%2Fpg/d?target_session_attrs=primary", "postgresql://h/?sslmode=verify-ca&sslrootcert=/c%3Fa.pem",
        ])
    func roundTrip(url: String) throws {
        let endpoint = try PostgresEndpoint(url: url)
        #expect(try PostgresEndpoint(url: "\(endpoint)") == endpoint)
    }
}
