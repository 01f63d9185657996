import Commerce
import NIOCore
import Services
import Store
import Synchronization

/// Makes one snapshot each second for all watchers together. Without watchers it does nothing.
///
/// It works on the threads of the concurrent pool, so that an event loop only writes what was made. A mutex guards the state.
final class LiveHub: Sendable {
    private struct Watcher {
        let coupon: CouponID?
        let frames: AsyncStream<ByteBuffer>.Continuation
    }

    private struct State {
        var watchers: [UInt64: Watcher] = [:]
        var lastWatcher: UInt64 = 0
        var isRunning = false
        var made = 0
        var sales = Sales()
    }

    /// The last read of the store.
    private struct Sales {
        var latest: WatchedSales?
        var succeeded = true
        /// Nil where no read runs.
        var begun: ContinuousClock.Instant?
    }

    private let services: CommerceServices
    private let metrics: MetricsPage
    private let state = Mutex(State())
    /// Raised when a watcher joins others.
    private let joined = Wakeup()
    /// Raised when a read of the store has ended.
    private let read = Wakeup()

    private static let interval: Duration = .seconds(1)
    /// A new watcher need not wait for the next second, but snapshots are at least this far apart.
    private static let leastInterval: Duration = .milliseconds(200)
    /// How long a snapshot waits for its read of the store; then it shows the last one.
    private static let readPatience: Duration = .milliseconds(700)
    /// After how long a read that has not ended counts as failed.
    private static let longestRead: Duration = .seconds(3)

    init(services: CommerceServices, metrics: MetricsPage) { (self.services, self.metrics) = (services, metrics) }

    /// Begins to watch a campaign, or the first one of the list. The caller ends it.
    func watch(_ coupon: CouponID?) -> LiveWatch {
        // A slow watcher misses snapshots, and gets the latest one.
        let (frames, continuation) = AsyncStream.makeStream(of: ByteBuffer.self, bufferingPolicy: .bufferingNewest(1))
        let (id, begins) = state.withLock { state in
            state.lastWatcher += 1
            state.watchers[state.lastWatcher] = Watcher(coupon: coupon, frames: continuation)
            defer { state.isRunning = true }
            return (state.lastWatcher, !state.isRunning)
        }
        if begins {
            Task(executorPreference: globalConcurrentExecutor) { await self.run() }
        } else {
            joined.raise()
        }
        return LiveWatch(frames: frames) { [self] in
            state.withLock { $0.watchers.removeValue(forKey: id) }?.frames.finish()
        }
    }

    /// How many snapshots were made since the start, for tests.
    var made: Int { state.withLock { $0.made } }

    /// Whether snapshots are being made.
    var isRunning: Bool { state.withLock { $0.isRunning } }

    private func run() async {
        var before = (counters: metrics.liveCounters(), at: ContinuousClock.now)
        var rates: LiveRates?
        while true {
            let seen = joined.count
            guard let watched = watchedOrEnd() else { return }
            let start = ContinuousClock.now
            // A snapshot in between shows the rates of the last second.
            let elapsed = start - before.at
            if elapsed >= Self.interval * 0.9 {
                let counters = metrics.liveCounters()
                rates = LiveRates(from: before.counters, to: counters, seconds: elapsed / .seconds(1))
                before = (counters, start)
            }
            await readSales(of: watched)
            deliver(snapshot(rates))
            await joined.wait(past: seen, atMost: start + Self.interval - .now)
            let rest = start + Self.leastInterval - .now
            if rest > .zero { try? await Task.sleep(for: rest) }
        }
    }

    /// The watched campaigns. Nil where the last watcher has left: then the caller stops.
    private func watchedOrEnd() -> Set<CouponID>? {
        state.withLock { state in
            guard !state.watchers.isEmpty else {
                state.isRunning = false
                // The next watcher must not see what was read for this one.
                if state.sales.begun == nil { state.sales = Sales() } else { state.sales.latest = nil }
                return nil
            }
            return Set(state.watchers.values.compactMap(\.coupon))
        }
    }

    /// Reads the store, and returns when that is done or takes long. One read runs at a time.
    private func readSales(of watched: Set<CouponID>) async {
        let seen = read.count
        let begins = state.withLock { state in
            guard state.sales.begun == nil else { return false }
            state.sales.begun = .now
            return true
        }
        if begins {
            Task(executorPreference: globalConcurrentExecutor) { [self] in
                let result = await Result { try await services.store.watchedSales(of: watched, at: services.configuration.clock.now) }
                state.withLock { state in
                    state.sales.begun = nil
                    if case .success(let sales) = result { state.sales.latest = sales }
                    if case .failure = result { state.sales.succeeded = false } else { state.sales.succeeded = true }
                }
                read.raise()
            }
        }
        await read.wait(past: seen, atMost: Self.readPatience)
    }

    private func snapshot(_ rates: LiveRates?) -> LiveSnapshot {
        let sales = state.withLock { $0.sales }
        let isOverdue = sales.begun.map { ContinuousClock.now - $0 > Self.longestRead } ?? false
        return LiveSnapshot(
            state: services.liveState, version: metrics.version, sales: sales.latest, isStoreRead: sales.succeeded && !isOverdue,
            rates: rates, services: seen(sales.latest?.services ?? []))
    }

    /// The services on the store; none where this one is alone.
    private func seen(_ services: [SeenService]) -> [LiveService] {
        let own = metrics.serviceName
        guard services.contains(where: { $0.report.name != own }) else { return [] }
        return services.map { service in
            LiveService(
                name: service.report.name, isThis: service.report.name == own, seenAt: service.seenAt, hasDuties: service.hasDuties,
                rates: service.report.rates)
        }
    }

    private func deliver(_ snapshot: LiveSnapshot) {
        let watchers = state.withLock { state in
            state.made += 1
            return Array(state.watchers.values)
        }
        // Rendered once for each watched campaign.
        for (coupon, watchers) in Dictionary(grouping: watchers, by: \.coupon) {
            let event = snapshot.event(watching: coupon)
            for watcher in watchers { watcher.frames.yield(event) }
        }
    }
}

/// One watcher.
struct LiveWatch: Sendable {
    /// The events, the latest alone where the watcher is slow.
    let frames: AsyncStream<ByteBuffer>
    /// Ends watching.
    let end: @Sendable () -> Void
}

extension Result where Failure == any Error {
    fileprivate init(_ work: () async throws -> Success) async {
        do { self = .success(try await work()) } catch { self = .failure(error) }
    }
}
