import API
import Commerce

/// Lines to paste into a shell: from a charge to the best sellers.
struct Tour {
    private let user: String
    private let admin: String

    init(key: TokenKey) async throws {
        let now = WallClock.system.now
        let end = now.advanced(byMilliseconds: 86_400_000) ?? now
        user = try await key.sign(.user(UserID(1)), issuedAt: now, expiresAt: end)
        admin = try await key.sign(.anyAdmin, issuedAt: now, expiresAt: end)
    }

    var text: String {
        """
        API=http://127.0.0.1:8080/api/v1
        USER='Authorization: Bearer \(user)'
        ADMIN='Authorization: Bearer \(admin)'
        JSON='Content-Type: application/json'

        curl -s $API/products/top
        curl -s -X POST $API/users/1/balance/charges -H "$USER" -H "$JSON" -H 'Idempotency-Key: charge-1' -d '{"amount": 100000}'
        curl -s -X POST $API/coupons/1/claims -H "$USER"
        curl -s $API/users/1/coupons -H "$USER"
        curl -s -X POST $API/orders -H "$USER" -H "$JSON" -d '{"items": [{"productId": 1, "quantity": 2}], "issuedCouponId": 1}'
        curl -s $API/users/1/orders -H "$USER"
        curl -s -X POST $API/coupons -H "$ADMIN" -H "$JSON" -d '{"name": "번개 쿠폰", "discount": {"type": "PERCENT", "percent": 10}, "quantity": 50}'
        """
    }
}
