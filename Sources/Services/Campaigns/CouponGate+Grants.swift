import Commerce
package import Redis
import Store

extension CouponGate {
    /// Decides for a list of users in its order, also before the window opens.
    ///
    /// - Parameter users: at most ``claimsPerCall``, each once.
    static func grant(
        _ coupon: CouponID, of store: StoreIdentity, to users: [UserID], through redis: RedisClient
    ) async throws -> [Verdict] {
        let arguments = [RedisArgument.string(store.description)] + users.map { .integer($0.rawValue) }
        return try grantVerdicts(
            try await redis.evaluate(Scripts.grantCoupon, keys: keys(coupon), arguments: arguments), count: users.count)
    }

    /// Decodes the reply of `grant_coupon`, as ``verdicts(_:count:)`` decodes that of `claim_coupon`.
    package static func grantVerdicts(_ reply: RedisValue, count: Int) throws(ServiceError) -> [Verdict] {
        guard case .array(let numbers) = reply, numbers.count == 4 * count else { throw unknownGrantAnswer }
        var verdicts: [Verdict] = []
        verdicts.reserveCapacity(count)
        for index in stride(from: 0, to: numbers.count, by: 4) {
            guard case .integer(let rawCode) = numbers[index], case .integer(let number) = numbers[index + 1],
                case .integer(let now) = numbers[index + 2], case .integer(let epoch) = numbers[index + 3],
                let code = GrantCode(rawValue: rawCode)
            else { throw unknownGrantAnswer }
            let at = Instant(milliseconds: now)
            let verdict: Verdict =
                switch code {
                case .granted: .claimed(Place(sequence: number, at: at, epoch: epoch))
                case .alreadyClaimed: .alreadyClaimed(Place(sequence: number, at: at, epoch: epoch))
                case .soldOut: .refused(RefusalTerms(reason: .soldOut(quantity: number), at: at, epoch: epoch))
                case .closed: .refused(RefusalTerms(reason: .closed(closesAt: Instant(milliseconds: number)), at: at, epoch: epoch))
                case .paused: .paused(silenceMilliseconds: number)
                case .notLoaded: .notLoaded
                case .damaged: .damaged(epoch: epoch)
                case .otherStore: .otherStore
                }
            verdicts.append(verdict)
        }
        return verdicts
    }

    private static let unknownGrantAnswer = ServiceError(.internal, "grant_coupon gave a reply that its header does not describe")
}
