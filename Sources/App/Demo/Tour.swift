package import API
import Commerce

/// The shell lines that `firstcome demo` prints: from a charge to the best sellers, by `curl` and `redis-cli`.
package struct Tour {
    private let user: String
    private let admin: String
    private let url: String
    private let socketPath: String

    /// - Parameters:
    ///   - key: signs the tokens, which are valid for a day.
    ///   - url: where the service listens, or will listen.
    ///   - socketPath: the socket of the folder's private Redis.
    package init(key: TokenKey, url: String, socketPath: String) {
        let now = WallClock.system.now
        let end = now.advanced(byMilliseconds: TokenKey.standardLifetimeMilliseconds) ?? now
        user = key.sign(.user(UserID(1)), issuedAt: now, expiresAt: end)
        admin = key.sign(.anyAdmin, issuedAt: now, expiresAt: end)
        (self.url, self.socketPath) = (url, socketPath)
    }

    package var text: String {
        """
        What to try, in another shell, as user 1 (the tokens are valid for a day):

        API=\(url)/api/v1
        USER='Authorization: Bearer \(user)'
        ADMIN='Authorization: Bearer \(admin)'
        JSON='Content-Type: application/json'
        id() { grep -o "\\"$1\\":[0-9]*" | head -n 1 | cut -d : -f 2; }   # reads one id from an answer

        # Charge the balance; the same key never charges twice.
        curl -s -X POST $API/users/1/balance/charges -H "$USER" -H "$JSON" -H 'Idempotency-Key: tour-1' -d '{"amount": 100000}'; echo

        # Claim one of the 100 coupons, order with it, pay.
        COUPON=$(curl -s -X POST $API/coupons/1/claims -H "$USER" | tee /dev/stderr | id issuedCouponId); echo
        ORDER=$(curl -s -X POST $API/orders -H "$USER" -H "$JSON" \\
          -d "{\\"items\\": [{\\"productId\\": 1, \\"quantity\\": 2}], \\"issuedCouponId\\": $COUPON}" | tee /dev/stderr | id orderId); echo
        curl -s -X POST $API/payments -H "$USER" -H "$JSON" -d "{\\"orderId\\": $ORDER}"; echo

        # The best sellers of three days, and the user's movements.
        curl -s $API/products/top; echo
        curl -s $API/users/1/balance/history -H "$USER"; echo

        # Open a coupon as an operator.
        curl -s -X POST $API/coupons -H "$ADMIN" -H "$JSON" \\
          -d '{"name": "번개 쿠폰", "discount": {"type": "PERCENT", "percent": 10, "maxAmount": 5000}, "quantity": 50}'; echo

        # The same claims and rankings, seen by an operator in Redis.
        redis-cli -s '\(socketPath)' ZRANGE 'coupon:{1}:claims' 0 9 WITHSCORES
        redis-cli -s '\(socketPath)' ZREVRANGE 'ranking:{sales}:top:3d' 0 4 WITHSCORES

        """
    }
}
