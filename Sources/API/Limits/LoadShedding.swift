import Commerce
import EventLoops
import HTTPServer
import NIOCore
import Redis
import Services
import Store

/// Refuses work of one event loop while a queue that it would join stands, see ``StandingQueue``.
///
/// Refusals cost little, and they keep the wait of what is accepted short. Lists are refused first, then writes that begin something, then
/// writes that finish something; requests of admins, health and metrics never.
///
/// Safety of `@unchecked Sendable`: every `private var` is touched on the event loop alone, by the part of a request that runs
/// before its handler; every access checks. Everything else is itself `Sendable`.
final class LoadShedding: @unchecked Sendable {
    /// The queues, as the metrics name them.
    enum Queue: String, CaseIterable, Sendable {
        case eventLoop = "event_loop"
        case redis
        case browsing = "browse_reads"
        case personal = "personal_reads"
        case writes = "store_writes"
    }

    /// What one class of work looks at: each has its own view of a queue, because their targets differ.
    private struct Gate {
        var eventLoop: LateLoop
        var queue: StandingQueue
    }

    private let eventLoop: any EventLoop
    private let store: TransactionalStore
    private let context: LoopContext
    private let isOn: Bool
    private let watchesEventLoop: Bool
    private let lag: LoopLag
    private let shed = Queue.allCases.map { _ in Counter() }
    private var browsing: Gate
    private var personal: Gate
    private var newWrites: Gate
    private var finishingWrites: Gate
    /// One for each primary of a cluster, so that one that answers slowly stops its own campaigns alone; otherwise one.
    private var redis: [StandingQueue]
    /// Refusals whose `Retry-After` differ, used in turn so that clients do not come back together.
    private let refusals: [HTTPResponse]
    private var nextRefusal = 0

    private final class Counter: Sendable {
        let number = LoopCounter()
    }

    /// The wait of a new write that is accepted for good, as a part of the time for which a queue may stand.
    private static let targetShare: Int64 = 25
    /// How many times longer than a new write one may wait that finishes something.
    private static let patience: Int64 = 2
    /// The lag of the event loop at which lists are refused, as a part of the target; new writes are refused at twice that, and writes that
    /// finish something at four times.
    private static let lagShare: Int64 = 2
    /// The fewest requests that must wait for an event loop to be refused because it is late. With fewer it is late because the machine has
    /// no processor for it, and refusals would help nobody.
    private static let fewestWaiting = 64.0
    private static let retryAfterSeconds: ClosedRange<Int64> = 1...4

    /// - Parameter limits: how long a queue may stand, and whether event loops count as queues.
    init(_ limits: RequestLimits, eventLoop: any EventLoop, store: TransactionalStore, context: LoopContext) {
        (self.eventLoop, self.store, self.context) = (eventLoop, store, context)
        lag = LoopLag(eventLoop: eventLoop)
        (isOn, watchesEventLoop) = (limits.shedAfter != nil, limits.watchesEventLoops)
        let nanoseconds = Int64((limits.shedAfter ?? .zero) / .nanoseconds(1))
        let target = nanoseconds / Self.targetShare
        func queue(_ target: Int64) -> StandingQueue { StandingQueue(interval: nanoseconds, target: target) }
        func loop(_ target: Int64) -> LateLoop { LateLoop(interval: nanoseconds, target: target) }
        browsing = Gate(eventLoop: loop(target / Self.lagShare), queue: queue(target))
        personal = Gate(eventLoop: loop(target / Self.lagShare), queue: queue(target))
        newWrites = Gate(eventLoop: loop(2 * target / Self.lagShare), queue: queue(target))
        finishingWrites = Gate(eventLoop: loop(4 * target / Self.lagShare), queue: queue(Self.patience * target))
        redis = [queue(target)]
        refusals = Self.retryAfterSeconds.map { seconds in
            Problem(
                code: .temporarilyUnavailable, detail: "The service has more work than it can do. Try again later.",
                headers: [.retryAfter(seconds: seconds)]
            ).response
        }
        // Loops begin at different places.
        nextRefusal = .random(in: refusals.indices)
    }

    /// Notes a request of the event loop.
    ///
    /// - Parameter waitedMilliseconds: how long its bytes have waited in their socket; negative where that was not measured.
    @inline(__always)
    func noteRequest(waitedMilliseconds: Int32) {
        lag.countArrival()
        if waitedMilliseconds >= 0 { note(waitedMilliseconds) }
    }

    private func note(_ waitedMilliseconds: Int32) {
        eventLoop.assertInEventLoop()
        lag.note(waited: .milliseconds(Int64(waitedMilliseconds)), at: .now())
    }

    /// The refusal of work that would join a queue that stands; nil where it may begin.
    ///
    /// - Parameter coupon: the campaign of a claim.
    func refusal(of work: WorkClass, claiming coupon: CouponID? = nil) -> HTTPResponse? {
        eventLoop.assertInEventLoop()
        guard isOn else { return nil }
        let now = NIODeadline.now()
        lag.sample(at: now)
        let queue: Queue? =
            switch work {
            case .kept: nil
            case .browsing: check(&browsing, .browsing, wait: store.age(of: .browse, at: now.uptimeNanoseconds), now)
            case .personalList: check(&personal, .personal, wait: store.age(of: .personal, at: now.uptimeNanoseconds), now)
            case .newWrite: check(&newWrites, .writes, wait: writeWait(now), now)
            case .finishingWrite: check(&finishingWrites, .writes, wait: writeWait(now), now)
            case .claim:
                redisAdmits(claimOf: coupon, now)
                    ? check(&newWrites, .writes, wait: writeWait(now), now) : .redis
            }
        guard let queue else { return nil }
        for (place, known) in Queue.allCases.enumerated() where known == queue { shed[place].number.add() }
        nextRefusal = (nextRefusal + 1) % refusals.count
        return refusals[nextRefusal]
    }

    /// Judges the queue by how much longer the oldest command waits for Redis than a reply takes when there is no queue.
    private func redisAdmits(claimOf coupon: CouponID?, _ now: NIODeadline) -> Bool {
        let instant = Int64(now.uptimeNanoseconds)
        guard context.redis.isCluster, let coupon else {
            return redis[0].admits(wait: max(0, context.redis.age(at: now) - context.redis.leastRoundTrip), at: instant)
        }
        let queue = context.redis.queue(of: RedisKeys.coupon(coupon), at: now)
        while redis.count <= queue.primary { redis.append(StandingQueue(interval: redis[0].interval, target: redis[0].target)) }
        return redis[queue.primary].admits(wait: max(0, queue.age - queue.leastRoundTrip), at: instant)
    }

    private func writeWait(_ now: NIODeadline) -> Int64 { store.writerLoad?.wait(at: now.uptimeNanoseconds) ?? 0 }

    /// The queue that stands; nil where none does.
    private func check(_ gate: inout Gate, _ queue: Queue, wait: Int64, _ now: NIODeadline) -> Queue? {
        let instant = Int64(now.uptimeNanoseconds)
        var late = watchesEventLoop ? lag.nanoseconds(at: now) : 0
        if late > 0, lag.waitingRequests(lag: late) < Self.fewestWaiting { late = 0 }
        guard gate.eventLoop.admits(lag: late, measuredAt: lag.lastMeasurement, at: instant) else { return .eventLoop }
        return gate.queue.admits(wait: wait, at: instant) ? nil : queue
    }
}

// MARK: - Metrics

extension LoadShedding {
    /// Requests of this loop that were refused because a queue stood, and the ages of its queues in nanoseconds. Readable anywhere.
    private func shedCount(_ queue: Queue) -> Int {
        for (place, known) in Queue.allCases.enumerated() where known == queue { return shed[place].number.value }
        return 0
    }

    private func age(of queue: Queue, at now: NIODeadline) -> Int64 {
        switch queue {
        case .eventLoop: lag.nanoseconds(at: now)
        case .redis: context.redis.age(at: now)
        case .browsing: store.age(of: .browse, at: now.uptimeNanoseconds)
        case .personal: store.age(of: .personal, at: now.uptimeNanoseconds)
        case .writes: store.writerLoad?.age(at: now.uptimeNanoseconds) ?? 0
        }
    }

    /// The metrics of all loops together.
    static func metrics(_ loops: [LoadShedding]) -> [Metric] {
        let now = NIODeadline.now()
        func samples(_ value: (Queue) -> Double) -> [(labels: [(name: String, value: String)], value: Double)] {
            Queue.allCases.map { ([("queue", $0.rawValue)], value($0)) }
        }
        return [
            Metric(
                "firstcome_shed_total", .counter, "Requests refused because a queue stood, by queue.",
                samples: samples { queue in Double(loops.reduce(0) { $0 + $1.shedCount(queue) }) }),
            Metric(
                "firstcome_queue_age_seconds", .gauge, "How long the oldest in a queue has waited; for event_loop how late it reads.",
                samples: samples { queue in Double(loops.map { $0.age(of: queue, at: now) }.max() ?? 0) / 1e9 }),
        ]
    }
}
