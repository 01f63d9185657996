/// Which primary serves each slot. With Sentinels, one primary serves all.
struct RedisSlotMap: Sendable, Equatable {
    /// The primaries, in the order of their first slots.
    private(set) var primaries: [RedisNodeAddress] = []
    /// Nodes that can be asked for the slots too.
    private(set) var replicas: [RedisNodeAddress] = []
    /// For each slot the place of its primary in `primaries`, or `none`.
    private var owners = [UInt16](repeating: none, count: RedisSlot.count)
    private(set) var servesAllSlots = false

    private static let none = UInt16.max

    /// One primary for every slot.
    init(primary: RedisNodeAddress) {
        primaries = [primary]
        owners = [UInt16](repeating: 0, count: RedisSlot.count)
        servesAllSlots = true
    }

    /// Reads the reply to `CLUSTER SLOTS`: ranges of slots, each with its primary and then its replicas.
    ///
    /// - Parameter asked: the node that replied, which may leave its own host out.
    /// - Throws: `.protocolViolation` where it is no such reply or assigns no slot, or one twice.
    init(slots reply: RedisValue, from asked: RedisNodeAddress) throws(RedisError) {
        if case .error(let error) = reply { throw RedisError(error) }
        guard let ranges = reply.array else { throw Self.unreadable }
        var parsed: [(slots: ClosedRange<Int>, nodes: [RedisNodeAddress?])] = []
        for range in ranges { parsed.append(try Self.range(range, asked)) }
        for (slots, nodes) in parsed.sorted(by: { $0.slots.lowerBound < $1.slots.lowerBound }) {
            for case let replica? in nodes.dropFirst() where !replicas.contains(replica) { replicas.append(replica) }
            // A primary whose name is not known to the node serves its slots, but cannot be reached.
            guard let primary = nodes.first ?? nil else { continue }
            let place = place(of: primary)
            for slot in slots {
                guard owners[slot] == Self.none else { throw Self.unreadable }
                owners[slot] = place
            }
        }
        guard !primaries.isEmpty else {
            throw RedisError(.notConnected, "\(asked) knows no node that serves slots")
        }
        servesAllSlots = !owners.contains(Self.none)
    }

    private static func range(
        _ value: RedisValue, _ asked: RedisNodeAddress
    ) throws(RedisError) -> (ClosedRange<Int>, [RedisNodeAddress?]) {
        guard let parts = value.array, parts.count >= 3, let first = parts[0].integer, let last = parts[1].integer,
            first >= 0, first <= last, last < RedisSlot.count
        else { throw unreadable }
        var nodes: [RedisNodeAddress?] = []
        for part in parts[2...] { nodes.append(try node(part, asked)) }
        return (Int(first)...Int(last), nodes)
    }

    /// A node: host, port, id and, since Redis 7.0, a list of further names and values. Nil where it does not say its host.
    private static func node(_ value: RedisValue, _ asked: RedisNodeAddress) throws(RedisError) -> RedisNodeAddress? {
        guard let parts = value.array, parts.count >= 2, let number = parts[1].integer, (1...65535).contains(number) else {
            throw unreadable
        }
        // Null and an empty host mean the host that was asked (Redis documentation, "CLUSTER SLOTS").
        var host = parts[0].string ?? ""
        if host == "?" {
            let more = parts.count > 3 ? parts[3].array ?? [] : []
            let names = stride(from: 0, to: more.count - 1, by: 2).filter { ["ip", "hostname"].contains(more[$0].string) }
            guard let known = names.compactMap({ more[$0 + 1].string }).first(where: { !$0.isEmpty && $0 != "?" }) else { return nil }
            host = known
        }
        return RedisNodeAddress(host: host.isEmpty ? asked.host : host, port: Int(number))
    }

    private static let unreadable = RedisError(.protocolViolation, "the reply to CLUSTER SLOTS is of unknown form")

    /// The place of a slot's primary in `primaries`; nil where no node serves the slot.
    @inline(__always)
    func owner(of slot: RedisSlot) -> Int? {
        let place = owners[Int(slot.number)]
        return place == Self.none ? nil : Int(place)
    }

    /// Notes that a node serves a slot, as another node said.
    mutating func assign(_ slot: RedisSlot, to node: RedisNodeAddress) {
        owners[Int(slot.number)] = place(of: node)
        servesAllSlots = servesAllSlots || !owners.contains(Self.none)
    }

    private mutating func place(of node: RedisNodeAddress) -> UInt16 {
        if let place = primaries.firstIndex(of: node) { return UInt16(place) }
        primaries.append(node)
        return UInt16(primaries.count - 1)
    }
}

/// Where a `MOVED` or `ASK` reply sends a command.
struct RedisRedirection: Equatable {
    let slot: RedisSlot
    let node: RedisNodeAddress

    /// Reads `MOVED slot host:port`. An empty host is that of the node that said so; nil where the reply is of another form.
    init?(_ error: RedisServerError, from asked: RedisNodeAddress) {
        let words = error.message.split(separator: " ")
        guard words.count == 3, let slot = Int(words[1]).flatMap(RedisSlot.init), let colon = words[2].lastIndex(of: ":"),
            let port = Int(words[2][words[2].index(after: colon)...]), (1...65535).contains(port)
        else { return nil }
        var host = words[2][..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard host != "?" else { return nil }
        self.slot = slot
        node = RedisNodeAddress(host: host.isEmpty ? asked.host : String(host), port: port)
    }
}
