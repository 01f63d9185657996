import NIOCore

/// A Redis Cluster of real servers on loopback, without persistence: a node that is killed and restarted comes back empty.
///
/// Node time-out is 1 s, so that a replica takes over some 2 s after its primary's SIGKILL. All nodes end with this object or by
/// ``end()``, also when the tests crash.
package final class TemporaryRedisCluster: Sendable {
    package typealias Failure = TemporaryRedis.Failure

    /// One server of the cluster, in whichever role.
    package struct Node: Sendable, Equatable {
        package let index: Int
        package let server: TemporaryRedis
        /// The port that the cluster tells its clients: the proxy's where there is one.
        package let port: Int
        /// Between the node and its clients; nil without `behindProxies`. The node's replica comes through it too.
        package let proxy: FaultProxy?
        /// By which the nodes know each other: 40 hexadecimal digits.
        package let id: String

        package static func == (one: Node, other: Node) -> Bool { one.index == other.index }
    }

    /// The primaries of the start first, then their replicas in the same order.
    package let nodes: [Node]

    /// The offset of the port for other nodes, where `cluster-port` is not set.
    private static let busOffset = 10_000
    package static let slotCount = 16_384

    private init(nodes: [Node]) { self.nodes = nodes }

    /// Starts the nodes and waits until all agree and every replica has its primary's data.
    ///
    /// - Parameters:
    ///   - arguments: for each node, for example `["--min-replicas-to-write", "1"]`; they override the defaults.
    ///   - behindProxies: clients reach each node by a proxy of its own.
    package static func start(
        primaries: Int = 3, replicasEach: Int = 1, arguments: [String] = [], behindProxies: Bool = false
    ) async throws -> TemporaryRedisCluster {
        var nodes: [Node] = []
        for index in 0..<primaries * (1 + replicasEach) {
            nodes.append(
                try await TemporaryRedis.retryingOnCollision {
                    try await startNode(index, arguments: arguments, behindProxy: behindProxies)
                })
        }
        let cluster = TemporaryRedisCluster(nodes: nodes)
        do {
            try await cluster.join(primaries: primaries)
        } catch {
            cluster.end()
            throw error
        }
        return cluster
    }

    private static func startNode(_ index: Int, arguments: [String], behindProxy: Bool) async throws -> Node {
        let port = try TemporaryRedis.freePort(busOffset: busOffset)
        let proxyPort = behindProxy ? try TemporaryRedis.freePort() : nil
        let proxy =
            if let proxyPort {
                try await FaultProxy(to: SocketAddress(ipAddress: "127.0.0.1", port: port), port: proxyPort)
            } else { FaultProxy?.none }
        do {
            let server = try await offPool {
                try TemporaryRedis(
                    arguments: [
                        "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "1000",
                        "--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", "\(proxyPort ?? port)",
                        "--cluster-announce-bus-port", "\(port + busOffset)",
                        // A replica takes over however long it has been without its primary, and keeps its primary.
                        "--cluster-replica-validity-factor", "0", "--cluster-allow-replica-migration", "no",
                        "--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0",
                    ] + arguments, port: port)
            }
            let id = try server.cli("CLUSTER", "MYID")
            return Node(index: index, server: server, port: proxyPort ?? port, proxy: proxy, id: id)
        } catch {
            try await proxy?.close()
            throw error
        }
    }

    deinit { end() }

    /// Ends all nodes and removes their folders.
    package func end() {
        for node in nodes {
            node.server.end()
            node.proxy?.stop()
        }
    }

    /// The URL for clients, with every node as a seed.
    package var url: String { "redis+cluster://" + nodes.map { "127.0.0.1:\($0.port)" }.joined(separator: ",") }

    /// The nodes that run and answer.
    package var running: [Node] { nodes.filter(\.server.isAnswering) }

    // MARK: - Forming

    private func join(primaries count: Int) async throws {
        let shares = (0...count).map { $0 * Self.slotCount / count }
        for node in nodes {
            try node.run("CLUSTER", "SET-CONFIG-EPOCH", "\(node.index + 1)")
            guard node.index < count else { continue }
            try node.run(["CLUSTER", "ADDSLOTS"] + (shares[node.index]..<shares[node.index + 1]).map { "\($0)" })
        }
        // Each meets each: gossip alone would take a second. A node gives up a handshake after the node time-out, which a busy machine can
        // exceed, and does not try again by itself.
        let clock = ContinuousClock()
        var nextMeeting = clock.now
        try await eventually("all nodes know each other") {
            let views = try nodes.map { try $0.view() }
            let isComplete = views.allSatisfy { $0.count == nodes.count && $0.allSatisfy { !$0.flags.contains("handshake") } }
            guard !isComplete else { return true }
            guard clock.now >= nextMeeting else { return false }
            let known = views.map { Set($0.map(\.id)) }
            for node in nodes {
                for other in nodes[..<node.index] where !known[node.index].contains(other.id) || !known[other.index].contains(node.id) {
                    try node.meet(other)
                }
            }
            nextMeeting = clock.now + .seconds(3)
            return false
        }
        for node in nodes[count...] { try node.run("CLUSTER", "REPLICATE", nodes[node.index % count].id) }
        try await untilAgreed()
    }

    /// Waits until the running nodes agree about every role and slot, every shard has a primary, and every running replica follows.
    package func untilAgreed(within limit: Duration = hangLimit) async throws {
        try await eventually("all nodes of the cluster agree", within: limit) { try agree() }
    }

    private func agree() throws -> Bool {
        let running = running
        let ids = Set(running.map(\.id))
        var first: [ClusterLine]?
        for node in running {
            guard try node.server.cli("CLUSTER", "INFO").contains("cluster_state:ok") else { return false }
            let view = try node.view()
            let roles = view.filter { ids.contains($0.id) }.sorted { $0.id < $1.id }
            guard roles.allSatisfy({ $0.flags.isDisjoint(with: ["fail", "fail?", "handshake"]) }) else { return false }
            guard first.map({ zip($0, roles).allSatisfy { $0.saysTheSame(as: $1) } }) ?? true else { return false }
            first = roles
            if view.contains(where: { $0.id == node.id && !$0.isPrimary }) {
                guard try node.server.cli("INFO", "replication").contains("master_link_status:up") else { return false }
            }
        }
        return true
    }

    // MARK: - Roles

    /// The slot of a key, by a server's own count.
    package func slot(of key: String) throws -> Int {
        guard let node = running.first, let slot = Int(try node.server.cli("CLUSTER", "KEYSLOT", key))
        else { throw Failure(description: "no node tells the slot of \(key)") }
        return slot
    }

    /// The running node that holds the slot, by what each says of itself; the newest where two do. Nil while there is none.
    package func currentPrimary(ofSlot slot: Int) throws -> Node? {
        try running.compactMap { node -> (node: Node, line: ClusterLine)? in
            guard let line = try node.myself(), line.isPrimary, line.holds(slot) else { return nil }
            return (node, line)
        }.max { $0.line.epoch < $1.line.epoch }?.node
    }

    package func primary(ofSlot slot: Int) throws -> Node {
        guard let node = try currentPrimary(ofSlot: slot) else { throw Failure(description: "slot \(slot) has no primary that runs") }
        return node
    }

    package func primary(of key: String) throws -> Node { try primary(ofSlot: slot(of: key)) }

    /// All running primaries that hold slots.
    package func primaries() throws -> [Node] {
        try running.filter { node in try node.myself().map { $0.isPrimary && !$0.slots.isEmpty } ?? false }
    }

    /// A running replica of a primary, also of one that no longer runs.
    package func replica(of primary: Node) throws -> Node {
        guard let node = try running.first(where: { try $0.myself()?.primary == primary.id })
        else { throw Failure(description: "node \(primary.index) has no replica that runs") }
        return node
    }

    // MARK: - Faults

    // A node is killed, paused and resumed by its server's own functions.

    /// Ends the replication from a primary: its later writes do not reach its replicas, and a failover loses them.
    package func cutReplication(of primary: Node) throws { try primary.server.cutReplication() }

    package func restoreReplication(of primary: Node) throws { try primary.server.restoreReplication() }

    /// Starts a killed node again: empty, and as a replica where its slots have another primary now.
    package func restart(_ node: Node) async throws { try await offPool { try node.server.start() } }

    /// Deletes all keys of one primary, and so of its replicas.
    package func flush(_ node: Node) throws { try node.run("FLUSHALL") }

    /// Waits until another running node than `node` holds the slot.
    package func untilPrimaryMoved(ofSlot slot: Int, from node: Node, within limit: Duration = hangLimit) async throws {
        try await eventually("slot \(slot) has another primary", within: limit) {
            try currentPrimary(ofSlot: slot).map { $0 != node } ?? false
        }
    }

    /// Makes a replica the primary by CLUSTER FAILOVER, which loses no write. Returns once it holds the slots.
    package func failOver(to replica: Node) async throws {
        try replica.run("CLUSTER", "FAILOVER")
        try await eventually("node \(replica.index) is a primary") { try replica.myself()?.isPrimary ?? false }
    }

    // MARK: - Slots

    /// Moves a slot and its keys to another primary, as `redis-cli --cluster reshard` does.
    package func move(slot: Int, to target: Node) async throws {
        let source = try primary(ofSlot: slot)
        guard source != target else { return }
        try beginMove(slot: slot, from: source, to: target)
        while try moveKeys(slot: slot, from: source, to: target) > 0 {}
        try endMove(slot: slot, from: source, to: target)
    }

    /// Marks a slot as being moved: its source answers ASK for keys that it does not have.
    package func beginMove(slot: Int, from source: Node, to target: Node) throws {
        try target.run("CLUSTER", "SETSLOT", "\(slot)", "IMPORTING", source.id)
        try source.run("CLUSTER", "SETSLOT", "\(slot)", "MIGRATING", target.id)
    }

    /// Moves up to `count` keys of a slot that is being moved.
    ///
    /// - Returns: how many were moved.
    @discardableResult
    package func moveKeys(slot: Int, from source: Node, to target: Node, count: Int = 100) throws -> Int {
        let keys = try source.server.cli("CLUSTER", "GETKEYSINSLOT", "\(slot)", "\(count)").split(separator: "\n").map(String.init)
        guard !keys.isEmpty, let port = target.server.port else { return 0 }
        try source.run(["MIGRATE", "127.0.0.1", "\(port)", "", "0", "60000", "KEYS"] + keys, expecting: ["OK", "NOKEY"])
        return keys.count
    }

    /// Gives a slot, whose keys have been moved, to its target.
    package func endMove(slot: Int, from source: Node, to target: Node) throws {
        // The target first, which then tells all others; another order could leave the slot without a node if one of the two died.
        for node in [target, source] + (try primaries().filter { $0 != target && $0 != source }) {
            try node.run("CLUSTER", "SETSLOT", "\(slot)", "NODE", target.id)
        }
    }
}

// MARK: - A node's view

/// One line of CLUSTER NODES.
private struct ClusterLine {
    let id: String
    let flags: Set<Substring>
    /// The id of a replica's primary; "-" for a primary.
    let primary: String
    let epoch: Int
    /// Such as `0-5460` and `7000`, without those that are being moved.
    let slots: [Substring]

    init?(_ line: Substring) {
        // id ip:port@cport[,host] flags primary ping-sent pong-received config-epoch link-state slot...
        let fields = line.split(separator: " ")
        guard fields.count >= 8, let epoch = Int(fields[6]) else { return nil }
        (id, flags, primary) = (String(fields[0]), Set(fields[2].split(separator: ",")), String(fields[3]))
        self.epoch = epoch
        slots = fields[8...].filter { !$0.hasPrefix("[") }
    }

    var isPrimary: Bool { flags.contains("master") }

    func holds(_ slot: Int) -> Bool {
        slots.contains { range in
            let bounds = range.split(separator: "-").compactMap { Int($0) }
            guard let first = bounds.first, let last = bounds.last else { return false }
            return (first...last).contains(slot)
        }
    }

    func saysTheSame(as other: ClusterLine) -> Bool {
        id == other.id && isPrimary == other.isPrimary && primary == other.primary && slots == other.slots
    }
}

extension TemporaryRedisCluster.Node {
    fileprivate func view() throws -> [ClusterLine] {
        try server.cli("CLUSTER", "NODES").split(separator: "\n").compactMap { ClusterLine($0) }
    }

    fileprivate func myself() throws -> ClusterLine? { try view().first { $0.flags.contains("myself") } }

    fileprivate func meet(_ other: TemporaryRedisCluster.Node) throws {
        guard let port = other.server.port else { return }
        try run("CLUSTER", "MEET", "127.0.0.1", "\(port)")
    }

    /// Runs a command that answers OK, or throws.
    fileprivate func run(_ command: String...) throws { try run(command) }

    fileprivate func run(_ command: [String], expecting answers: Set<String> = ["OK"]) throws {
        let answer = try server.cli(command)
        guard answers.contains(answer) else {
            throw TemporaryRedis.Failure(description: "\(command.prefix(4).joined(separator: " ")) on node \(index): \(answer)")
        }
    }
}

/// Runs `body` with a cluster that ends with it, also when it throws.
package func withTemporaryRedisCluster<Result>(
    primaries: Int = 3, replicasEach: Int = 1, arguments: [String] = [], behindProxies: Bool = false,
    isolation: isolated (any Actor)? = #isolation,
    _ body: (TemporaryRedisCluster) async throws -> Result
) async throws -> Result {
    let cluster = try await TemporaryRedisCluster.start(
        primaries: primaries, replicasEach: replicasEach, arguments: arguments, behindProxies: behindProxies)
    defer { cluster.end() }
    return try await body(cluster)
}
