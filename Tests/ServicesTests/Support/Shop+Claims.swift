import Commerce
import Histograms
import NIOCore
import NIOPosix
import Redis
import Store
import TestSupport
import Testing

@testable import Services

extension CommerceServices {
    /// One claim by the service's own door, on a loop or on any.
    func outcome(
        of coupon: CouponID, by user: UserID, on loop: (any EventLoop)? = nil, idempotency: IdempotentWrite<IssuedCoupon>? = nil
    ) async -> ClaimOutcome {
        let context = context(for: loop ?? MultiThreadedEventLoopGroup.singleton.next())
        return await withCheckedContinuation { continuation in
            context.eventLoop.execute { [claims] in
                switch claims.claim(coupon, by: user, on: context, idempotency: idempotency) {
                case .now(let outcome): continuation.resume(returning: outcome)
                case .later(let begin): begin { continuation.resume(returning: $0) }
                }
            }
        }
    }
}

/// What a claim came to, as a value to compare.
enum ClaimAnswer: Equatable, Sendable {
    case won(Int64)
    case already(Int64)
    case refused(Refusal)
    /// 503: come back in moments.
    case later(String)
    /// The stored answer of an earlier request with the same key.
    case replayed(StoredResponse)

    init(_ outcome: ClaimOutcome) throws {
        switch outcome {
        case .issued(let coupon): self = .won(coupon.issued.sequence)
        case .alreadyClaimed(let known): self = .already(known.issued.sequence)
        case .soldOut: self = .refused(.couponSoldOut)
        case .notOpen(let opensAt): self = .refused(.couponNotOpen(opensAt: opensAt))
        case .closed: self = .refused(.couponClosed)
        case .couponNotFound: self = .refused(.couponNotFound)
        case .userNotFound: self = .refused(.userNotFound)
        case .idempotencyKeyReused: self = .refused(.idempotencyKeyReused)
        case .replayed(let stored): self = .replayed(stored)
        case .failed(let error as ServiceError) where [.paused, .foreignRedis].contains(error.code): self = .later(error.message)
        case .failed(let error as RedisError): self = .later(error.description)
        case .failed(let error as StoreError) where error.code == .unavailable: self = .later(error.message)
        case .failed(let error): throw error
        }
    }
}

extension Shop {
    /// Claims on an event loop, as a connection of that loop does; without one on any.
    func claim(
        _ coupon: CouponID, by user: UserID, on loop: (any EventLoop)? = nil, idempotency: IdempotentWrite<IssuedCoupon>? = nil
    ) async throws -> ClaimAnswer {
        try ClaimAnswer(await outcome(of: coupon, by: user, on: loop, idempotency: idempotency))
    }

    func outcome(
        of coupon: CouponID, by user: UserID, on loop: (any EventLoop)? = nil, idempotency: IdempotentWrite<IssuedCoupon>? = nil
    ) async -> ClaimOutcome {
        await services.outcome(of: coupon, by: user, on: loop, idempotency: idempotency)
    }

    /// Claims in one tick of a loop, in the order of the users.
    func claimInOneTick(
        _ coupon: CouponID, by users: [UserID], on loop: any EventLoop, idempotency: [IdempotentWrite<IssuedCoupon>?] = []
    ) async throws -> [ClaimAnswer] {
        let context = services.context(for: loop)
        let outcomes: [ClaimOutcome] = await withTaskGroup { group in
            let (stream, answers) = AsyncStream.makeStream(of: (Int, ClaimOutcome).self)
            context.eventLoop.execute { [services] in
                for (index, user) in users.enumerated() {
                    let write = index < idempotency.count ? idempotency[index] : nil
                    switch services.claims.claim(coupon, by: user, on: context, idempotency: write) {
                    case .now(let outcome): answers.yield((index, outcome))
                    case .later(let begin): begin { answers.yield((index, $0)) }
                    }
                }
            }
            group.addTask {
                var found: [Int: ClaimOutcome] = [:]
                for await (index, outcome) in stream {
                    found[index] = outcome
                    if found.count == users.count { break }
                }
                return users.indices.compactMap { found[$0] }
            }
            return await group.next() ?? []
        }
        return try outcomes.map { try ClaimAnswer($0) }
    }

    /// How many claims were sent to the gates.
    var claimsAsked: Int {
        MultiThreadedEventLoopGroup.singleton.makeIterator().reduce(0) {
            $0 + services.context(for: $1).batcher.sizesOfCalls.sum
        }
    }

    /// Comes back as long as it is told to, as a client does with `Retry-After`.
    func claimPatiently(_ coupon: CouponID, by user: UserID) async throws -> ClaimAnswer {
        let deadline = ContinuousClock.now + hangLimit
        while true {
            let answer = try await claim(coupon, by: user)
            guard case .later = answer, ContinuousClock.now < deadline else { return answer }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Everybody at once, each until they have an answer.
    func claimTogether(_ coupon: CouponID, by users: [UserID]) async throws -> [UserID: ClaimAnswer] {
        try await withThrowingTaskGroup { group in
            for user in users { group.addTask { (user, try await self.claimPatiently(coupon, by: user)) } }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    func gate(of coupon: CouponID) async throws -> CouponGate.GateState? {
        try await CouponGate.states(of: [coupon], through: redis)[0]
    }

    /// Users by sequence, as the store has them.
    func issued(_ coupon: CouponID) async throws -> [Int64: UserID] {
        let claims = try await store.claims(of: coupon, limit: 1_000_000)
        return Dictionary(uniqueKeysWithValues: claims.map { ($0.sequence, $0.userID) })
    }

    /// Users by sequence, as the gate has them.
    func granted(_ coupon: CouponID) async throws -> [Int64: UserID] {
        let claims = try await CouponGate.claims(of: coupon, from: 0, limit: 1_000_000, through: redis)
        return Dictionary(uniqueKeysWithValues: claims.map { ($0.sequence, $0.user) })
    }

    /// Gate and store agree in every number and every claim: remaining + issued = quantity.
    func expectAgreement(on coupon: CouponID, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let campaign = try #require(try services.context(for: MultiThreadedEventLoopGroup.singleton.next()).reader.campaign(coupon))
        let gate = try #require(try await gate(of: coupon), sourceLocation: sourceLocation)
        #expect(gate.isOpen && gate.isConsistent && gate.matches(campaign.terms), "\(gate)", sourceLocation: sourceLocation)
        #expect(gate.remaining == campaign.terms.quantity - campaign.issued, sourceLocation: sourceLocation)
        let issued = try await issued(coupon)
        #expect(Int64(issued.count) == campaign.issued, sourceLocation: sourceLocation)
        #expect(try await granted(coupon) == issued, sourceLocation: sourceLocation)
    }
}
