import Dispatch
import Foundation
import Logging
import Postgres
import Store

/// One thread with one connection, which looks up whatever keys wait in one trip: the mirror of group commit.
///
/// The trip begins after its look-ups were asked for, so what it finds includes every commit that was answered before.
final class KeyLookups: LookupLane {
    private let queue: LaneQueue<any PendingLookup>
    private let maximumGroup: Int
    private let thread = DispatchGroup()

    init(
        _ configuration: PostgresStoreConfiguration, maximumQueued: Int, isReadOnly: Bool, shared: SharedState, logger: Logger
    ) {
        maximumGroup = configuration.maximumGroup
        queue = LaneQueue(limit: maximumQueued, maximumGroup: configuration.maximumGroup)
        thread.enter()
        let worker = Thread { [self] in
            let session = LookupSession(configuration, isReadOnly: isReadOnly, shared, logger)
            work(on: session)
            session.close()
            thread.leave()
        }
        worker.name = "store-lookups"
        worker.start()
    }

    func lookUp<Key: Lookup>(_ key: Key, context: (any DeliveryContext)?) -> Found<Key.Row> {
        .later { [self] completion in
            let lookup = KeyLookup(key, context, completion)
            switch queue.append(lookup, weight: 1) {
            case .admitted: return
            case .full: lookup.fail(StoreError(.overloaded, "too many look-ups wait for the store"))
            case .closed: lookup.fail(StoreError(.closed, "the store is closed"))
            }
            lookup.deliver()
        }
    }

    /// Answers what is queued and ends the thread; further look-ups are refused. Blocks until then.
    func close() {
        queue.close()
        thread.wait()
    }

    private func work(on session: LookupSession) {
        var lookups: [any PendingLookup] = []
        while queue.takeAll(into: &lookups) {
            var start = 0
            while start < lookups.count {
                let group = lookups[start..<min(start + maximumGroup, lookups.count)]
                session.answer(group)
                queue.answered(weight: group.count)
                group.map { $0 as any LaneWork }.deliverAll()
                start = group.endIndex
            }
            lookups.removeAll(keepingCapacity: true)
        }
    }
}

/// A look-up that waits for the lane, with its type erased.
protocol PendingLookup: LaneWork {
    var needs: Needs { get }
    func read(_ rows: PostgresRows)
}

/// One caller's look-up and, later, its row. Safe to send for the reason of ``PendingUseCase``.
final class KeyLookup<Key: Lookup>: PendingLookup, @unchecked Sendable {
    let context: (any DeliveryContext)?
    let weight = 1
    let submitted = ContinuousClock.now
    private let key: Key
    private let completion: @Sendable (Result<Key.Row, StoreError>) -> Void
    private var result: Result<Key.Row, StoreError> = .failure(StoreError(.internal, "the look-up was never made"))

    init(_ key: Key, _ context: (any DeliveryContext)?, _ completion: @escaping @Sendable (Result<Key.Row, StoreError>) -> Void) {
        (self.key, self.context, self.completion) = (key, context, completion)
    }

    var needs: Needs { key.needs }
    func read(_ rows: PostgresRows) { result = Result { try key.read(rows) }.mapError { StoreError(of: $0) } }
    func fail(_ error: StoreError) { result = .failure(error) }
    func deliver() { completion(result) }
}

/// The connection of the look-ups. Only their thread touches it.
private final class LookupSession {
    private let configuration: PostgresStoreConfiguration
    private let shared: SharedState
    private let logger: Logger
    private let connection: ProvenConnection
    private var plans = SessionPlans()

    init(_ configuration: PostgresStoreConfiguration, isReadOnly: Bool, _ shared: SharedState, _ logger: Logger) {
        (self.configuration, self.shared, self.logger) = (configuration, shared, logger)
        connection = ProvenConnection(
            configuration.session("look-ups"), committingWithin: configuration.tripTimeout, on: isReadOnly ? nil : shared.currentServer)
    }

    /// Reads the rows of all look-ups in one trip. Where the connection breaks, it asks again on another one.
    func answer(_ group: ArraySlice<any PendingLookup>) {
        let oldest = group.reduce(ContinuousClock.now) { min($0, $1.submitted) }
        let deadline = oldest + configuration.patience
        var needs = GroupNeeds()
        for lookup in group { needs.add(lookup.needs) }
        var pause: UInt32 = 10_000
        while true {
            do {
                let rows = try read(needs)
                for lookup in group { lookup.read(rows) }
                return
            } catch {
                let failure = error as? PostgresError
                let isBroken = failure.map { !connection.isOpen || $0.outcome != .refused } ?? false
                if failure?.code == .timedOut { connection.leave() } else if isBroken { connection.disconnect() }
                guard isBroken, ContinuousClock.now < deadline else {
                    for lookup in group { lookup.fail(StoreError(of: error)) }
                    logger.error("look-ups failed", metadata: ["error": "\(error)"])
                    return
                }
                usleep(pause)
                pause = min(pause * 2, 500_000)
            }
        }
    }

    private func read(_ needs: GroupNeeds) throws -> PostgresRows {
        var reading = GroupReading(needs, locks: false)
        var generation = 0
        let results = try connection.proven().send(within: configuration.tripTimeout) { batch in
            generation = plans.renew(&batch, by: shared.growth)
            reading.add(to: &batch)
        }
        plans.renewed(to: generation)
        let (rows, _) = try reading.read(results)
        if let count = rows.userCount { shared.users.raise(to: count) }
        return PostgresRows(held: rows)
    }

    func close() { connection.close() }
}
