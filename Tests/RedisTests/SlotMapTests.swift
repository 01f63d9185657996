import NIOCore
import Testing

@testable import Redis

@Suite struct SlotMapTests {
    private static let asked = RedisNodeAddress(host: "asked", port: 1)

    private static func text(_ text: String) -> RedisValue { .bulk(ByteBuffer(string: text)) }

    private static func node(_ host: RedisValue, _ port: Int64, _ more: RedisValue...) -> RedisValue {
        .array([host, .integer(port), text("id")] + more)
    }

    private static func range(_ first: Int64, _ last: Int64, _ nodes: RedisValue...) -> RedisValue {
        .array([.integer(first), .integer(last)] + nodes)
    }

    private static func map(_ ranges: RedisValue...) throws -> RedisSlotMap { try RedisSlotMap(slots: .array(ranges), from: asked) }

    private static func owner(_ slot: Int, in map: RedisSlotMap) throws -> String? {
        map.owner(of: try #require(RedisSlot(slot))).map { "\(map.primaries[$0])" }
    }

    @Test("ranges give each slot its primary, in whatever order they come, and replicas are known as nodes to ask")
    func ranges() throws {
        let (a, b, c) = (Self.node(Self.text("a"), 1), Self.node(Self.text("b"), 2), Self.node(Self.text("c"), 3))
        let map = try Self.map(Self.range(100, 16_383, b, c), Self.range(0, 98, a), Self.range(99, 99, b))
        #expect(try Self.owner(0, in: map) == "a:1")
        #expect(try Self.owner(98, in: map) == "a:1")
        #expect(try Self.owner(99, in: map) == "b:2")
        #expect(try Self.owner(16_383, in: map) == "b:2")
        #expect(map.servesAllSlots)
        #expect(map.primaries.map(\.description) == ["a:1", "b:2"])
        #expect(map.replicas.map(\.description) == ["c:3"])
        #expect(try map == Self.map(Self.range(0, 98, a), Self.range(99, 16_383, b, c)))
    }

    @Test("slots without a node are known to have none")
    func partial() throws {
        let map = try Self.map(Self.range(10, 20, Self.node(Self.text("a"), 1)))
        #expect(!map.servesAllSlots)
        #expect(try Self.owner(9, in: map) == nil)
        #expect(try Self.owner(21, in: map) == nil)
        #expect(try Self.owner(20, in: map) == "a:1")
    }

    @Test("a node without a host is the host that was asked, and one whose host is unknown is found by its other names")
    func hosts() throws {
        let more = RedisValue.array([Self.text("ip"), Self.text("10.0.0.1")])
        let map = try Self.map(
            Self.range(0, 0, Self.node(.null, 7)), Self.range(1, 1, Self.node(Self.text(""), 8)),
            Self.range(2, 2, Self.node(Self.text("?"), 9, more)), Self.range(3, 3, Self.node(Self.text("?"), 9, .array([]))),
            Self.range(4, 4, Self.node(Self.text("::1"), 9)))
        #expect(try (0...4).map { try Self.owner($0, in: map) } == ["asked:7", "asked:8", "10.0.0.1:9", nil, "[::1]:9"])
    }

    @Test(
        "a reply that cannot be true is not believed",
        arguments: [
            .null, .array([]), .array([.integer(1)]), .error(RedisServerError(message: "ERR no")),
            .array([range(0, 16_384, node(text("a"), 1))]), .array([range(5, 4, node(text("a"), 1))]),
            .array([range(-1, 4, node(text("a"), 1))]), .array([range(0, 4)]), .array([range(0, 4, .array([]))]),
            .array([range(0, 4, node(text("a"), 0))]), .array([range(0, 4, node(text("a"), 65_536))]),
            .array([range(0, 4, node(text("a"), 1)), range(4, 5, node(text("b"), 1))]), .array([range(0, 4, node(text("?"), 1))]),
        ] as [RedisValue])
    func refuses(reply: RedisValue) {
        #expect(throws: RedisError.self) { try RedisSlotMap(slots: reply, from: Self.asked) }
    }

    @Test("a slot assigned to a node that serves others, or to a new one, belongs to it, and no other slot does")
    func assign() throws {
        var map = try Self.map(Self.range(0, 8_000, Self.node(Self.text("a"), 1)), Self.range(8_001, 16_382, Self.node(Self.text("b"), 2)))
        map.assign(try #require(RedisSlot(5)), to: RedisNodeAddress(host: "b", port: 2))
        #expect(!map.servesAllSlots)
        map.assign(try #require(RedisSlot(16_383)), to: RedisNodeAddress(host: "c", port: 3))
        #expect(map.servesAllSlots)
        #expect(try [4, 5, 6, 16_382, 16_383].map { try Self.owner($0, in: map) } == ["a:1", "b:2", "a:1", "b:2", "c:3"])
    }

    static let redirections: [(String, String?)] = [
        ("MOVED 3999 127.0.0.1:6381", "3999 127.0.0.1:6381"), ("ASK 0 redis-1.example:7000", "0 redis-1.example:7000"),
        ("MOVED 16383 :7000", "16383 asked:7000"), ("MOVED 1 ::1:7000", "1 [::1]:7000"), ("MOVED 1 [::1]:7000", "1 [::1]:7000"),
        ("MOVED 16384 a:1", nil), ("MOVED 1 ?:1", nil), ("MOVED 1 a:0", nil), ("MOVED 1 a:65536", nil), ("MOVED 1 a", nil), ("MOVED", nil),
        ("MOVED x a:1", nil),
    ]

    @Test("a redirection names a slot and a node", arguments: redirections)
    func redirection(message: String, expected: String?) {
        let read = RedisRedirection(RedisServerError(message: message), from: Self.asked)
        #expect(read.map { "\($0.slot.number) \($0.node)" } == expected)
    }
}
