import Testing

@testable import Redis

@Suite struct EndpointTests {
    private static func node(_ host: String, _ port: Int) -> RedisNodeAddress { RedisNodeAddress(host: host, port: port) }

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
        ("redis+cluster://a:7000,b", .cluster(seeds: [node("a", 7000), node("b", 6379)])),
        ("redis+cluster://ann:p%40ss@[::1]:7000/0", .cluster(seeds: [node("::1", 7000)], user: "ann", password: "p@ss")),
        ("redis+sentinel://s1,s2:7/shop", .sentinel([node("s1", 26379), node("s2", 7)], primary: "shop")),
        ("REDIS+SENTINEL://:x@s1/a%2Fb/4", .sentinel([node("s1", 26379)], primary: "a/b", password: "x", database: 4)),
    ]

    @Test("a URL names its place", arguments: urls)
    func parses(url: String, endpoint: RedisEndpoint) throws {
        #expect(try RedisEndpoint(url: url) == endpoint)
    }

    @Test("rediss means TLS, in a cluster and with Sentinels too", arguments: ["rediss+cluster://a,b", "rediss+sentinel://a,b/shop"])
    func tls(url: String) throws {
        let endpoint = try RedisEndpoint(url: url)
        #expect(endpoint.usesTLS)
        #expect(endpoint.node(at: Self.node("c", 1)).usesTLS)
    }

    @Test("a node of a cluster is reached with the cluster's user and password, and a Sentinel's primary in the URL's database")
    func nodes() throws {
        let cluster = try RedisEndpoint(url: "redis+cluster://ann:x@a,b")
        #expect(cluster.node(at: Self.node("c", 7)) == .tcp(host: "c", port: 7, user: "ann", password: "x"))
        let watched = try RedisEndpoint(url: "redis+sentinel://:x@s/shop/3")
        #expect(watched.node(at: Self.node("c", 7)) == .tcp(host: "c", port: 7, password: "x", database: 3))
        #expect(watched.sentinel(at: Self.node("s", 7)) == .tcp(host: "s", port: 7, password: "x"))
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
            "redis+cluster://", "redis+cluster://:secret@a,,b", "redis+cluster://:secret@a,b/1", "redis+cluster://:secret@a:0",
            "redis+cluster://:secret@a,b/x", "redis+sentinel://:secret@s1", "redis+sentinel://:secret@s1/",
            "redis+sentinel://:secret@/shop",
            "redis+sentinel://:secret@s1/shop/x", "redis+other://:secret@h", "unix+cluster:///s",
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
        #expect("\(try RedisEndpoint(url: "redis+cluster://ann:secret@h:1,i:2"))" == "redis+cluster://ann:***@h:1,i:2")
        #expect("\(try RedisEndpoint(url: "redis+sentinel://:secret@h:1/shop/2"))" == "redis+sentinel://:***@h:1/shop/2")
        var dumped = ""
        dump(endpoint, to: &dumped)
        dump(RedisConfiguration(endpoint: endpoint), to: &dumped)
        dumped += String(reflecting: endpoint) + String(reflecting: RedisConfiguration(endpoint: endpoint))
        #expect(!dumped.contains("secret"))
    }

    @Test(
        "an endpoint prints as a URL that reads back as the same endpoint",
        arguments: [
            "redis://[::1]:6379/0", "unix:///a/b?db=2", "rediss://h:1/9", "redis+cluster://a:1,[::1]:2", "rediss+cluster://a:1",
            "redis+sentinel://a:1,b:2/shop", "rediss+sentinel://a:1/shop/3",
        ])
    func roundTrip(url: String) throws {
        #expect(try RedisEndpoint(url: url).description == url)
    }
}
