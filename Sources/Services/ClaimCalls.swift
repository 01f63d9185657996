import Commerce
import Redis
import Synchronization

/// The calls of `claim_coupon`, rendered once for each campaign: a claim adds no more than the user's id.
///
/// The rendered calls live in a mutex. There are as many as campaigns that anybody has asked for; a flood of unknown ids starts over.
final class ClaimCalls: Sendable {
    private let prepared = Mutex<[CouponID: RedisPreparedCall]>([:])

    private static let maximum = 20_000

    func claim(_ coupon: CouponID, by user: UserID) -> RedisCommand {
        let call = prepared.withLock { prepared in
            if let call = prepared[coupon] { return call }
            if prepared.count >= Self.maximum { prepared.removeAll() }
            let call = RedisPreparedCall(Scripts.claimCoupon, keys: CouponGate.keys(coupon), argumentCount: 1)
            prepared[coupon] = call
            return call
        }
        return RedisCommand(call, .integer(user.rawValue))
    }
}
