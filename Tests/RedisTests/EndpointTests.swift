import Testing

@testable import Redis

@Suite struct EndpointTests {
    static let urls: [(String, RedisEndpoint)] = [
        ("redis://localhost", .tcp(host: "localhost")),
        ("redis://127.0.0.1:7000/3", .tcp(host: "127.0.0.1", port: 7000, database: 3)),
        ("REDIS://h:1/", .tcp(host: "h", port: 1)),
        ("redis://[::1]:6380", .tcp(host: "::1", port: 6380)),
        ("redis://ann:p%40ss%3A@h", .tcp(host: "h", user: "ann", password: "p@ss:")),
        ("redis://:secret@h", .tcp(host: "h", password: "secret")),
        ("redis://a:b@c@h", .tcp(host: "h", user: "a", password: "b@c")),
        ("unix:///run/redis.sock", .unix(path: "/run/redis.sock")),
        ("unix:///run/redis.sock?db=4", .unix(path: "/run/redis.sock", database: 4)),
        ("unix:///with%20space", .unix(path: "/with space")),
    ]

    @Test("a URL names its place", arguments: urls)
    func parses(url: String, endpoint: RedisEndpoint) throws {
        #expect(try RedisEndpoint(url: url) == endpoint)
    }

    @Test("rediss means TLS")
    func tls() throws {
        let endpoint = try RedisEndpoint(url: "rediss://h:6380/1")
        #expect(endpoint.usesTLS)
        #expect(endpoint.address == .tcp(host: "h", port: 6380))
        #expect(endpoint.database == 1)
    }

    @Test(
        "a URL that cannot work is refused without repeating its password",
        arguments: [
            "", "localhost:6379", "http://u:secret@h", "redis://", "redis://u:secret@", "redis://:secret@h:0", "redis://:secret@h:65536",
            "redis://:secret@h:x", "redis://:secret@h/minus", "redis://:secret@h/-1", "redis://user@h", "unix://relative", "unix:///p?db=x",
            "unix:///p?password=secret", "redis://:secret%4@h", "redis://:secret%zz@h", "redis://[::1", "redis://[::1]x",
        ])
    func refuses(url: String) throws {
        let error = try #require(throws: RedisError.self) { _ = try RedisEndpoint(url: url) }
        #expect(error.code == .misconfigured)
        #expect(!"\(error)\(String(reflecting: error))".contains("secret"))
    }

    @Test("no way of printing an endpoint shows the password")
    func hidesPassword() throws {
        let endpoint = try RedisEndpoint(url: "rediss://ann:secret@h:1/2")
        #expect("\(endpoint)" == "rediss://ann:***@h:1/2")
        var dumped = ""
        dump(endpoint, to: &dumped)
        dump(RedisConfiguration(endpoint: endpoint), to: &dumped)
        dumped += String(reflecting: endpoint) + String(reflecting: RedisConfiguration(endpoint: endpoint))
        #expect(!dumped.contains("secret"))
    }

    @Test(
        "an endpoint prints as a URL that reads back as the same endpoint",
        arguments: ["redis://[::1]:6379/0", "unix:///a/b?db=2", "rediss://h:1/9"])
    func roundTrip(url: String) throws {
        #expect(try RedisEndpoint(url: url).description == url)
    }
}
