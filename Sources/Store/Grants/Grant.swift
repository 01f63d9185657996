package import Commerce

/// The id of one grant of a campaign's coupons to a list of users.
package typealias GrantID = Identifier<Grant>

/// A campaign's coupons granted to a list of users: the job, and how far it has come.
package struct Grant: Sendable, Equatable {
    /// How far a grant is; raw values as stored.
    package enum State: Int64, Sendable {
        /// The list is being written. Nobody was answered yet, and a crash leaves nothing to do.
        case receiving = 0
        case running = 1
        case done = 2
    }

    package let id: GrantID
    package let couponID: CouponID
    /// The admin who asked for it: the subject of the token.
    package let actor: String
    package var state: State
    /// How many users the list has; while it is being written, how many were written.
    package var total: Int64
    package var counts = GrantCounts()
    /// The position of the first chunk without outcomes.
    package var nextChunk: Int64 = 0
    /// The newest coupon of any campaign when the grant began: of the coupons that users have, later ones count as granted.
    package let lastCouponBefore: IssuedCouponID
    package let createdAt: Instant
    package var updatedAt: Instant
    package var finishedAt: Instant?

    package init(
        id: GrantID, couponID: CouponID, actor: String, state: State, total: Int64, lastCouponBefore: IssuedCouponID, createdAt: Instant
    ) {
        (self.id, self.couponID, self.actor, self.state, self.total) = (id, couponID, actor, state, total)
        (self.lastCouponBefore, self.createdAt, updatedAt) = (lastCouponBefore, createdAt, createdAt)
    }

    /// How many chunks the list has.
    package var chunkCount: Int64 { (total + GrantChunk.size - 1) / GrantChunk.size }
}

/// How many users of a list had which outcome.
package struct GrantCounts: Sendable, Equatable {
    package var granted: Int64 = 0
    package var alreadyHeld: Int64 = 0
    package var soldOut: Int64 = 0
    package var closed: Int64 = 0
    package var unknownUser: Int64 = 0

    package init() {}

    package var processed: Int64 { granted + alreadyHeld + soldOut + closed + unknownUser }

    package mutating func add(_ outcome: GrantOutcome) {
        switch outcome {
        case .granted: granted += 1
        case .alreadyHeld: alreadyHeld += 1
        case .soldOut: soldOut += 1
        case .closed: closed += 1
        case .unknownUser: unknownUser += 1
        }
    }
}

/// What a grant was for one user; raw values as stored.
package enum GrantOutcome: UInt8, Sendable, CaseIterable {
    /// The user has a coupon of the campaign that was issued since the grant began.
    case granted = 1
    /// The user has one that was issued before.
    case alreadyHeld = 2
    case soldOut = 3
    /// The campaign has ended or is archived.
    case closed = 4
    /// There is no such user.
    case unknownUser = 5
}

/// A part of a grant's list, as it is stored: each user id in eight bytes, the most significant first, and one byte for each outcome.
package struct GrantChunk: Sendable, Equatable {
    /// The users of each chunk but the last: few enough to be decided in some calls of the gate, and written in one small transaction.
    package static let size: Int64 = 1_024

    package let position: Int64
    package let users: [UserID]
    /// Nil before the chunk was decided.
    package let outcomes: [GrantOutcome]?

    package init(position: Int64, users: [UserID], outcomes: [GrantOutcome]? = nil) {
        (self.position, self.users, self.outcomes) = (position, users, outcomes)
    }

    /// The chunk as it was stored.
    ///
    /// - Throws: `malformedRow` for bytes that no version writes.
    init(position: Int64, users bytes: [UInt8], outcomes: [UInt8]?) throws {
        guard bytes.count % 8 == 0, outcomes.map({ $0.count == bytes.count / 8 }) ?? true else { throw Self.malformed(position) }
        let users = stride(from: 0, to: bytes.count, by: 8).map { start in
            UserID(bytes[start..<start + 8].reduce(0) { $0 << 8 | Int64($1) })
        }
        let decided = try outcomes?.map { byte in
            guard let outcome = GrantOutcome(rawValue: byte) else { throw Self.malformed(position) }
            return outcome
        }
        self.init(position: position, users: users, outcomes: decided)
    }

    private static func malformed(_ position: Int64) -> StoreError {
        StoreError(.malformedRow, "chunk \(position) of a grant cannot be read")
    }

    /// The users as bytes.
    package var userBytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8 * users.count)
        for user in users {
            for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: user.rawValue >> Int64(shift))) }
        }
        return bytes
    }
}
