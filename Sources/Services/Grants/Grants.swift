package import Commerce
import FaultPoints
import Logging
import Redis
package import Store
import Synchronization

/// Grants a campaign's coupons to lists of users: takes the lists, and works through them in the background.
///
/// A list is kept in the store before its request is answered. From then on one service at a time decides it, chunk by chunk; what a
/// chunk's users got is written together with the place where the next chunk begins. After a crash the first chunk without outcomes is
/// decided again, which gives the same outcomes, because a user gets at most one coupon.
package final class Grants: Sendable {
    let store: TransactionalStore
    let reader: PointReader
    let redis: RedisClient
    let campaigns: Campaigns
    /// Learns of new rows, for the chains of wins.
    let wins: WinFeed
    private let clock: WallClock
    private let logger: Logger
    /// Raised when a grant was started.
    let wakeup = Wakeup()
    /// One list is parsed and written at a time, so that memory does not depend on how many are sent.
    private let receptions = TaskQueue()
    private let reception = Mutex(Reception())

    private struct Reception {
        /// Lists that are being written or wait for that.
        var lists = 0
        /// The grant whose list is being written.
        var present: GrantID?
    }

    /// Lists of this service that are being received or wait for it; one more is refused.
    private static let mostLists = 32
    /// Chunks that are written by one transaction, which holds the writer about as long as a group of claims does.
    private static let chunksPerWrite = 8
    /// How long the list of another service may not have been written to before it counts as left behind.
    private static let receptionSilence: Int64 = 60_000

    init(
        store: TransactionalStore, reader: PointReader, redis: RedisClient, campaigns: Campaigns, wins: WinFeed, clock: WallClock,
        logger: Logger
    ) {
        (self.store, self.reader, self.redis, self.campaigns, self.wins) = (store, reader, redis, campaigns, wins)
        (self.clock, self.logger) = (clock, logger)
    }
}

// MARK: - Taking a list

extension Grants {
    /// Keeps a list of users, to each of whom a coupon of the campaign is to be granted. The work begins after this returns.
    ///
    /// Refused: `couponNotFound`; `couponClosed` for a campaign that is archived.
    ///
    /// - Parameter parse: reads the list, away from event loops; each user once. What it throws is thrown, and nothing is kept.
    package func start(
        _ coupon: CouponID, by actor: String, in context: WriteContext<Grant>, parse: @escaping @Sendable () throws -> [UserID]
    ) async throws -> WriteResult<Grant> {
        guard let campaign = try await reader.find(campaign: coupon).row else { return .refused(.couponNotFound) }
        guard !campaign.isArchived else { return .refused(.couponClosed) }
        let isAdmitted = reception.withLock { reception in
            guard reception.lists < Self.mostLists else { return false }
            reception.lists += 1
            return true
        }
        guard isAdmitted else { throw StoreError(.overloaded, "too many lists are being received") }
        defer { reception.withLock { $0.lists -= 1 } }
        let result = try await receptions.run { [self] in
            let users = try parse()
            return try await receive(users, coupon, by: actor, in: context)
        }
        wakeup.raise()
        return result
    }

    private func receive(
        _ users: [UserID], _ coupon: CouponID, by actor: String, in context: WriteContext<Grant>
    ) async throws -> WriteResult<Grant> {
        let grant: Grant
        switch try await store.beginGrant(of: coupon, by: actor, at: context.time) {
        case .refused(let refusal): return .refused(refusal)
        case .done(let begun): grant = begun
        }
        reception.withLock { $0.present = grant.id }
        defer { reception.withLock { $0.present = nil } }
        do {
            try await write(users, to: grant.id)
            FaultPoint.beforeGrantStart.reached()
            let result = try await store.startGrant(grant.id, total: Int64(users.count), in: context)
            if case .done = result { return result }
            // Another service has answered the same request.
            try await store.removeUnstarted(grant.id)
            return result
        } catch {
            // The grant may have been started although that failed; then it stays. What cannot be removed now is removed later.
            do { try await store.removeUnstarted(grant.id) } catch {
                logger.notice("a list that was not started is removed later", metadata: ["grant": "\(grant.id)", "error": "\(error)"])
            }
            throw error
        }
    }

    private func write(_ users: [UserID], to grant: GrantID) async throws {
        let size = Int(GrantChunk.size)
        for start in stride(from: 0, to: users.count, by: size * Self.chunksPerWrite) {
            let end = min(start + size * Self.chunksPerWrite, users.count)
            let chunks = stride(from: start, to: end, by: size).map { first in
                GrantChunk(position: Int64(first / size), users: Array(users[first..<min(first + size, end)]))
            }
            try await store.addChunks(chunks, to: grant, at: clock.now)
        }
    }
}

// MARK: - Working through it

extension Grants {
    /// Decides the next chunk of the oldest grant that is running.
    ///
    /// - Returns: when the next step is needed; nil where no grant is running.
    func step() async throws -> Duration? {
        guard let grant = try await store.runningGrant() else {
            try await removeUnstarted()
            return nil
        }
        guard let chunk = try await store.chunk(grant.nextChunk, of: grant.id) else {
            throw StoreError(.internal, "grant \(grant.id) has no chunk \(grant.nextChunk)")
        }
        let outcomes: [GrantOutcome]
        do {
            outcomes = try await decide(chunk, of: grant)
        } catch let error as ServiceError where error.code == .paused {
            return Self.pauseWhileBuilding
        }
        FaultPoint.beforeGrantOutcomes.reached()
        let next = try await store.recordOutcomes(outcomes, ofChunk: chunk.position, of: grant.id, at: clock.now)
        if next.state == .done {
            logger.info(
                "grant done",
                metadata: [
                    "grant": "\(grant.id)", "coupon": "\(grant.couponID)", "total": "\(next.total)", "granted": "\(next.counts.granted)",
                ])
        }
        return .zero
    }

    /// How long a step waits for a gate that is being built.
    private static let pauseWhileBuilding: Duration = .milliseconds(300)

    /// The users of one call of the gate and of one write to the store.
    static let usersPerCall = CouponGate.claimsPerCall

    /// Decides a chunk in several calls. After each it rests twice as long as the call took, so that others have two thirds of the time.
    private func decide(_ chunk: GrantChunk, of grant: Grant) async throws -> [GrantOutcome] {
        var outcomes: [GrantOutcome] = []
        outcomes.reserveCapacity(chunk.users.count)
        for start in stride(from: 0, to: chunk.users.count, by: Self.usersPerCall) {
            let began = ContinuousClock.now
            outcomes += try await decide(Array(chunk.users[start..<min(start + Self.usersPerCall, chunk.users.count)]), of: grant)
            try await Task.sleep(for: (ContinuousClock.now - began) * 2)
        }
        return outcomes
    }

    /// Removes lists that a crash has left behind.
    ///
    /// In a store in a file they are all but the one that this process writes. On a server another service may be writing one: that is
    /// left behind once it was not written to for a minute.
    private func removeUnstarted() async throws {
        let now = clock.now
        let limit = store.isOnServer ? now.advanced(byMilliseconds: -Self.receptionSilence) : Instant(milliseconds: .max)
        for id in try await store.unstartedGrants(untouchedSince: limit ?? now) where reception.withLock({ $0.present != id }) {
            try await store.removeUnstarted(id)
            logger.info("removed a list whose request was never answered", metadata: ["grant": "\(id)"])
        }
    }
}
