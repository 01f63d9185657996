import NIOCore
import Synchronization

/// One loop's connection to one node, and whether commands may be sent on it.
final class RedisMember {
    enum State {
        /// The first attempt to connect is under way.
        case connecting
        case ready
        case lost(RedisError)
    }

    let address: RedisNodeAddress
    let connection: RedisNodeConnection
    var state = State.connecting
    /// Whether the client was admitted while this connection is ready.
    var isAdmitted = false
    /// Commands that another node sends here, as long as the connection is not usable.
    var waiting: [UInt64] = []
    /// Until then it is kept although no map names it.
    var keptUntil = NIODeadline.distantPast

    init(address: RedisNodeAddress, connection: RedisNodeConnection) {
        (self.address, self.connection) = (address, connection)
    }

    var isReady: Bool { if case .ready = state { true } else { false } }
    var isUsable: Bool { isAdmitted && isReady }
}

/// One loop's connections to the nodes of a cluster, and the map of its slots.
///
/// Safety of `@unchecked Sendable`: all mutable state is touched on the loop only, except what is in a mutex or an atomic.
final class RedisMembers: @unchecked Sendable {
    /// What the owner of the connections has to know.
    enum Change {
        /// Commands can be sent to one more node. `isReconnect` is false while the first map's nodes are connected for the first time.
        case usable(isReconnect: Bool)
        case lost(RedisNodeAddress)
        /// A node said that the map is wrong.
        case outdated
    }

    /// Whether a command can be sent now.
    enum Place {
        case usable(RedisMember)
        /// Not yet: the first attempt to connect, or to find the nodes, is under way.
        case connecting
        case unreachable(RedisError)
        /// No node serves the slot.
        case unassigned(RedisError)
    }

    /// What other threads ask.
    struct Reach {
        var map: RedisSlotMap?
        /// The connections, in the order of the map's primaries.
        var primaries: [RedisNodeConnection] = []
        var usable: [Bool] = []
        var all: [RedisNodeConnection] = []
        /// The counts of connections that are closed.
        var former = RedisStatistics()

        /// Whether every slot's primary can be reached.
        var isComplete: Bool { map?.servesAllSlots == true && !usable.contains(false) }

        func isUsable(_ slot: RedisSlot) -> Bool { map?.owner(of: slot).map { usable[$0] } ?? false }
    }

    let reach = Mutex(Reach())
    /// See `Reach.isComplete`. Readable anywhere.
    let isComplete = Atomic(false)
    var onChange: (Change) -> Void = { _ in }
    /// Why the nodes could not be found; nil while they are sought for the first time and once they are known.
    var discoveryError: RedisError?

    private let eventLoop: any EventLoop
    private let configuration: RedisConfiguration
    private let connector: RedisConnector
    private let outageLogs: RedisOutageLogs
    private var map: RedisSlotMap?
    /// In the order of the map's primaries.
    private var primaries: [RedisMember] = []
    private var members: [RedisNodeAddress: RedisMember] = [:]
    /// Commands that waited for connections that were closed meanwhile.
    private var orphaned: [(UInt64, RedisMember)] = []
    /// All primaries were usable once, at the same time.
    private var wasComplete = false
    /// The slot of the keys by which a node decides whether to admit the client.
    private let admissionSlot: RedisSlot?
    private var isAskingForAdmission = false

    /// How long a node that another one named is kept although the map does not know it yet.
    private static let keepTime = TimeAmount.seconds(10)

    init(eventLoop: any EventLoop, configuration: RedisConfiguration, connector: RedisConnector, outageLogs: RedisOutageLogs) {
        (self.eventLoop, self.configuration, self.connector, self.outageLogs) = (eventLoop, configuration, connector, outageLogs)
        admissionSlot = configuration.admission?.command.slot
    }

    /// Takes a new map over: connects to its primaries and leaves those of former ones. False where it is the map that is known.
    func apply(_ new: RedisSlotMap) -> Bool {
        discoveryError = nil
        let isNew = new != map
        if isNew {
            map = new
            primaries = new.primaries.map { member($0) }
            askForAdmission()
        }
        let now = NIODeadline.now()
        for (address, member) in members where member.keptUntil < now && !new.primaries.contains(address) { leave(member) }
        noteReach()
        return isNew
    }

    /// Notes that a node serves a slot, and connects to it.
    func assign(_ redirection: RedisRedirection) {
        let member = member(named: redirection.node)
        map?.assign(redirection.slot, to: redirection.node)
        if let map, map.primaries.count > primaries.count { primaries.append(member) }
        noteReach()
    }

    /// The connection to a node that another node named.
    func member(named address: RedisNodeAddress) -> RedisMember {
        let member = member(address)
        member.keptUntil = .now() + Self.keepTime
        return member
    }

    func place(for target: RedisRoutedCommand.Target) -> Place {
        guard let map else { return discoveryError.map { .unreachable(notConnected(to: "\(configuration.endpoint)", $0)) } ?? .connecting }
        switch target {
        case .slot(let slot):
            guard let owner = map.owner(of: slot) else {
                return .unassigned(RedisError(.notConnected, "no node of \(configuration.endpoint) serves the slot \(slot.number)"))
            }
            return place(of: primaries[owner])
        case .anyPrimary:
            if let usable = primaries.first(where: \.isUsable) { return .usable(usable) }
            let places = primaries.map { place(of: $0) }
            return places.first { if case .connecting = $0 { true } else { false } } ?? places[0]
        case .node(let address):
            guard let member = members[address] else {
                return .unreachable(RedisError(.notConnected, "\(address) is no primary of \(configuration.endpoint)"))
            }
            return place(of: member)
        }
    }

    private func place(of member: RedisMember) -> Place {
        switch member.state {
        case .ready where member.isAdmitted: .usable(member)
        case .ready: refusal.map { .unreachable($0) } ?? .connecting
        case .connecting: .connecting
        case .lost(let error): .unreachable(notConnected(to: "\(member.address)", error))
        }
    }

    private func notConnected(to place: String, _ cause: RedisError) -> RedisError {
        RedisError(.notConnected, "there is no connection to \(place)", cause: cause)
    }

    /// The commands that other nodes sent to a node whose connection has become usable or was lost.
    func takeWaiting() -> [(UInt64, RedisMember)] {
        defer { orphaned = [] }
        return members.values.reduce(into: orphaned) { waiting, member in
            if case .connecting = place(of: member) { return }
            waiting += member.waiting.map { ($0, member) }
            member.waiting.removeAll()
        }
    }

    func reconnect(because error: RedisError) {
        for member in members.values { member.connection.reconnect(because: error) }
    }

    func close() -> EventLoopFuture<Void> {
        let ends = members.values.map { $0.connection.close() }
        isComplete.store(false, ordering: .relaxed)
        return EventLoopFuture.andAllComplete(ends, on: eventLoop).assumeIsolated().map { [self] in members.removeAll() }.nonisolated()
    }
}

// MARK: - Connections

extension RedisMembers {
    private func member(_ address: RedisNodeAddress) -> RedisMember {
        if let member = members[address] { return member }
        var configuration = configuration
        configuration.role = self.configuration.endpoint.isCluster ? .clusterNode : .primary
        configuration.endpoint = configuration.endpoint.node(at: address)
        let connection = RedisNodeConnection(
            eventLoop: eventLoop, configuration: configuration, connector: connector,
            outageLog: outageLogs.log(of: configuration.endpoint),
            onReady: { [self] in ready(address, $0) }, onLoss: { [self] in lost(address, because: $0) })
        let member = RedisMember(address: address, connection: connection)
        members[address] = member
        connection.start()
        return member
    }

    /// Closes the connection to a node that is no primary any more.
    private func leave(_ member: RedisMember) {
        members[member.address] = nil
        orphaned += member.waiting.map { ($0, member) }
        reach.withLock { $0.former = $0.former.adding(member.connection.counters.snapshot) }
        outageLogs.log(of: member.connection.configuration.endpoint).left(ObjectIdentifier(member.connection))
        _ = member.connection.close()
    }

    private func ready(_ address: RedisNodeAddress, _ connection: RedisNodeConnection) {
        guard let member = members[address], member.connection === connection else { return }
        member.state = .ready
        if admissionSlot == nil || members.values.contains(where: { $0.isReady && $0.connection.isAdmitted }) {
            // This connection may itself be the one that was admitted, for which the others wait.
            admitReady()
        } else {
            askForAdmission()
        }
    }

    private func lost(_ address: RedisNodeAddress, because error: RedisError) {
        guard let member = members[address] else { return }
        member.state = .lost(error)
        member.isAdmitted = false
        noteReach()
        onChange(.lost(address))
    }

    private func noteReach() {
        let isComplete = reach.withLock { reach in
            reach.map = map
            reach.primaries = primaries.map(\.connection)
            reach.usable = primaries.map(\.isUsable)
            reach.all = members.values.map(\.connection)
            return reach.isComplete
        }
        wasComplete = wasComplete || isComplete
        self.isComplete.store(isComplete, ordering: .relaxed)
    }
}

// MARK: - Admission

extension RedisMembers {
    private func admitReady() {
        for member in members.values where member.isReady && !member.isAdmitted {
            member.isAdmitted = true
            let isReconnect = wasComplete
            noteReach()
            onChange(.usable(isReconnect: isReconnect))
        }
    }

    /// The connection to the node that decides on the admission.
    private var admitter: RedisMember? {
        guard let admissionSlot, let owner = map?.owner(of: admissionSlot) else { return nil }
        return primaries[owner]
    }

    /// Why no node can be used although connections are ready; nil while the deciding node has not been heard.
    private var refusal: RedisError? {
        guard case .lost(let error)? = admitter?.state else { return nil }
        return notConnected(to: "the node that admits this client", error)
    }

    /// Asks the deciding node on its connection, where its handshake did not: it has come to hold the admission's keys later.
    private func askForAdmission() {
        guard !isAskingForAdmission, let admission = configuration.admission, let admitter, admitter.isReady,
            members.values.contains(where: { $0.isReady && !$0.isAdmitted }),
            !members.values.contains(where: { $0.isReady && $0.connection.isAdmitted })
        else { return }
        isAskingForAdmission = true
        admitter.connection.enqueue(
            admission.command,
            .completion { [self] answer in
                isAskingForAdmission = false
                switch answer {
                case .success(let reply):
                    if let refusal = admission.error(given: reply) { return reconnect(because: refusal) }
                    admitter.connection.noteAdmission()
                    admitReady()
                case .failure: onChange(.outdated)
                }
            })
    }
}
