import HTTPServer
import NIOEmbedded
import Testing

@testable import API

@Suite("Client addresses behind proxies")
struct TrustedProxiesTests {
    private func client(
        _ fields: [(name: String, value: String)], from peer: String?, trusting list: String = "10.0.0.0/8,2001:db8:1::/48"
    ) throws -> String {
        let address = try peer.map { try #require(IPAddress($0)) } ?? .unspecified
        let request = try #require(
            HTTPRequest(method: "GET", target: "/", fields: fields, eventLoop: EmbeddedEventLoop(), peer: address))
        let client = try #require(TrustedProxies(list)).client(of: request)
        return client == .unspecified ? "none" : "\(client)"
    }

    static let forwarded: [(String, String)] = [
        ("for=192.0.2.43", "192.0.2.43"),
        ("For=192.0.2.43;proto=https;by=10.0.0.1", "192.0.2.43"),
        ("proto=https ; for=192.0.2.43", "192.0.2.43"),
        (#"for="192.0.2.43:47011""#, "192.0.2.43"),
        (#"for="[2001:db8:cafe::17]:4711""#, "2001:db8:cafe::17"),
        (#"for="[2001:db8:cafe::17]""#, "2001:db8:cafe::17"),
        // The client's own entry is on the left of what the proxies have appended.
        ("for=203.0.113.9, for=192.0.2.43", "192.0.2.43"),
        ("for=203.0.113.9,for=192.0.2.43, for=10.1.2.3", "192.0.2.43"),
        (#"for="_;,\"for=1.2.3.4", for=192.0.2.43"#, "192.0.2.43"),
        // Trusted addresses alone: the client is one of them.
        ("for=10.9.9.9, for=10.1.2.3", "10.9.9.9"),
        // Without an address: the peer.
        ("for=unknown", "10.0.0.1"), ("for=_hidden", "10.0.0.1"), (#"for="_gazonk""#, "10.0.0.1"), ("proto=https", "10.0.0.1"),
        ("for=192.0.2.43;for=192.0.2.44", "10.0.0.1"), ("for=", "10.0.0.1"), ("for", "10.0.0.1"), ("", "10.0.0.1"),
        (#"for="192.0.2.43"#, "10.0.0.1"), ("for=192.0.2.43, ", "10.0.0.1"), ("for=192.0.2.43 x", "10.0.0.1"),
        ("for=192.0.2.256", "10.0.0.1"), (#"for="[2001:db8::g]""#, "10.0.0.1"), (#"for="[192.0.2.43]""#, "10.0.0.1"),
        (#"for="192.0.2.43:x""#, "10.0.0.1"), (#"for="192.0.2.4\3""#, "10.0.0.1"), ("for=192.0.2.43, for=unknown", "10.0.0.1"),
    ]

    @Test("Forwarded of a trusted peer is read from its end", arguments: forwarded)
    func readForwarded(_ value: String, _ expected: String) throws {
        #expect(try client([("Forwarded", value)], from: "10.0.0.1") == expected)
    }

    static let others: [(String, String)] = [
        ("192.0.2.43", "192.0.2.43"), ("203.0.113.9, 192.0.2.43", "192.0.2.43"), ("192.0.2.43, 10.4.4.4 ,10.1.2.3", "192.0.2.43"),
        ("192.0.2.43:51000", "192.0.2.43"), ("2001:db8:cafe::17", "2001:db8:cafe::17"), ("[2001:db8:cafe::17]:443", "2001:db8:cafe::17"),
        ("::ffff:192.0.2.43", "192.0.2.43"), ("192.0.2.43, 2001:db8:1::5", "192.0.2.43"),
        ("unknown", "10.0.0.1"), ("192.0.2.43,", "10.0.0.1"), ("192.0.2.43, localhost", "10.0.0.1"), ("", "10.0.0.1"),
        ("192.0.2.43:99999999", "10.0.0.1"), ("192.0.2.043x", "10.0.0.1"),
    ]

    @Test("X-Forwarded-For of a trusted peer is read from its end", arguments: others)
    func readOthers(_ value: String, _ expected: String) throws {
        #expect(try client([("X-Forwarded-For", value)], from: "10.0.0.1") == expected)
    }

    @Test("several fields of one name are one list")
    func severalFields() throws {
        #expect(try client([("Forwarded", "for=192.0.2.1"), ("forwarded", "for=192.0.2.2")], from: "10.0.0.1") == "192.0.2.2")
        #expect(try client([("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "10.0.0.2")], from: "10.0.0.1") == "192.0.2.1")
    }

    @Test("a peer that is not trusted is the client, whatever it sends", arguments: ["192.0.2.7", "2001:db8:2::1", nil])
    func untrusted(_ peer: String?) throws {
        let fields = [("Forwarded", "for=10.0.0.1"), ("X-Forwarded-For", "10.0.0.1")].map { (name: $0.0, value: $0.1) }
        #expect(try client(fields, from: peer) == peer ?? "none")
        #expect(try client(fields, from: peer, trusting: "127.0.0.1") == peer ?? "none")
    }

    @Test("a unix socket's peer is believed where unix is trusted")
    func unixSocket() throws {
        #expect(try client([("X-Forwarded-For", "192.0.2.43")], from: nil, trusting: "unix") == "192.0.2.43")
        #expect(try client([("X-Forwarded-For", "nonsense")], from: nil, trusting: "unix") == "none")
        #expect(try client([("X-Forwarded-For", "192.0.2.43")], from: "10.0.0.1", trusting: "unix") == "10.0.0.1")
    }

    @Test("where both fields are there and differ, neither counts: the proxy writes one and passes the client's other one on")
    func both() throws {
        let differing = [("Forwarded", "for=192.0.2.1"), ("X-Forwarded-For", "192.0.2.2")].map { (name: $0.0, value: $0.1) }
        #expect(try client(differing, from: "10.0.0.1") == "10.0.0.1")
        let same = [("Forwarded", "for=192.0.2.1"), ("X-Forwarded-For", "203.0.113.1, 192.0.2.1")].map { (name: $0.0, value: $0.1) }
        #expect(try client(same, from: "10.0.0.1") == "192.0.2.1")
        let broken = [("Forwarded", "for"), ("X-Forwarded-For", "192.0.2.2")].map { (name: $0.0, value: $0.1) }
        #expect(try client(broken, from: "10.0.0.1") == "10.0.0.1")
    }

    @Test("a list of more than 32 entries is not read")
    func long() throws {
        let list = Array(repeating: "10.0.0.2", count: 32).joined(separator: ", ")
        #expect(try client([("X-Forwarded-For", list)], from: "10.0.0.1") == "10.0.0.2")
        #expect(try client([("X-Forwarded-For", "192.0.2.1, " + list)], from: "10.0.0.1") == "10.0.0.1")
    }

    @Test(
        "what is no list of networks is refused",
        arguments: ["", "10.0.0.0/33", "10.0.0.1/8", "2001:db8::1/32", "host", "10.0.0.0/", "10.0.0.0/8,", "1.2.3", "10.0.0.0/+8", "unix:"])
    func garbage(_ list: String) {
        #expect(TrustedProxies(list) == nil)
    }

    @Test("networks contain what their prefix says, IPv4 also in its IPv6 form")
    func networks() throws {
        let (office, all, one) = (
            try #require(IPNetwork("192.0.2.128/25")), try #require(IPNetwork("::/0")), try #require(IPNetwork("2001:db8::7"))
        )
        for (text, isInOffice, isOne) in [
            ("192.0.2.128", true, false), ("192.0.2.255", true, false), ("192.0.2.127", false, false), ("::ffff:192.0.2.200", true, false),
            ("2001:db8::7", false, true), ("2001:db8::8", false, false),
        ] {
            let address = try #require(IPAddress(text))
            #expect(office.contains(address) == isInOffice && one.contains(address) == isOne && all.contains(address), "\(text)")
        }
    }

    @Test("an address is written as it is read, and an IPv6 address counts by its /64")
    func addresses() throws {
        for text in ["192.0.2.1", "2001:db8::1", "::1", "fe80::1:2:3:4"] { #expect(try #require(IPAddress(text)).description == text) }
        #expect(try #require(IPAddress("2001:db8:0:1:aaaa::1")).customerNetwork == IPAddress("2001:db8:0:1::"))
        #expect(try #require(IPAddress("192.0.2.1")).customerNetwork == IPAddress("192.0.2.1"))
        for text in ["", "1", "1.2.3", "1.2.3.4.5", "::g", "fe80::1%eth0", "1.2.3.4\0", String(repeating: "1", count: 60)] {
            #expect(IPAddress(text) == nil, "\(text)")
        }
    }
}
