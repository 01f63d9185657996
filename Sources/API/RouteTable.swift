import NIOHTTP1

/// Every route of the service; the OpenAPI document describes the same ones, and a test holds the two against each other.
enum RouteTable {
    static let routes: [Route] = users + products + coupons + orders + payments + events + operations

    private static let users = [
        Route(.POST, "/api/v1/users", "createUser", .admin(Users.create), location: "/api/v1/users/"),
        Route(.GET, "/api/v1/users/{userId}", "getUser", .selfOrAdmin(Users.get)),
        Route(.GET, "/api/v1/users/{userId}/balance", "getBalance", .selfOrAdmin(Balances.get)),
        Route(
            .POST, "/api/v1/users/{userId}/balance/charges", "chargeBalance", .selfOrAdmin(Balances.charge),
            refusals: [.amountOutOfRange, .balanceLimitExceeded]),
        Route(.GET, "/api/v1/users/{userId}/balance/history", "listBalanceHistory", .selfOrAdmin(Balances.history)),
        Route(.GET, "/api/v1/users/{userId}/coupons", "listIssuedCoupons", .selfOrAdmin(Coupons.listIssued)),
        Route(.GET, "/api/v1/users/{userId}/orders", "listOrders", .selfOrAdmin(Orders.list)),
    ]

    private static let products = [
        Route(.POST, "/api/v1/products", "createProduct", .admin(Products.create), location: "/api/v1/products/"),
        Route(.GET, "/api/v1/products", "listProducts", .open(Products.list)),
        Route(.GET, "/api/v1/products/top", "getTopProducts", .open(Products.top)),
        Route(.GET, "/api/v1/products/{productId}", "getProduct", .open(Products.get), refusals: [.productNotFound]),
        Route(
            .PATCH, "/api/v1/products/{productId}", "updateProduct", .admin(Products.update), refusals: [.productNotFound, .stockHeld]),
    ]

    private static let coupons = [
        Route(.POST, "/api/v1/coupons", "createCoupon", .admin(Coupons.create), location: "/api/v1/coupons/"),
        Route(.GET, "/api/v1/coupons", "listCoupons", .open(Coupons.list)),
        Route(.GET, "/api/v1/coupons/{couponId}", "getCoupon", .open(Coupons.get), refusals: [.couponNotFound]),
        Route(.PATCH, "/api/v1/coupons/{couponId}", "updateCoupon", .admin(Coupons.update), refusals: [.couponNotFound, .quantityIssued]),
        Route(
            .POST, "/api/v1/coupons/{couponId}/claims", "claimCoupon", .user(Coupons.claim),
            refusals: [.couponNotFound, .couponSoldOut, .couponAlreadyClaimed, .couponNotOpen, .couponClosed]),
    ]

    private static let orders = [
        Route(
            .POST, "/api/v1/orders", "placeOrder", .user(Orders.place), location: "/api/v1/orders/",
            refusals: [.productNotFound, .outOfStock, .couponNotUsable]),
        Route(.GET, "/api/v1/orders/{orderId}", "getOrder", .ownerOrAdmin(Orders.get), refusals: [.orderNotFound]),
        Route(
            .POST, "/api/v1/orders/{orderId}/cancel", "cancelOrder", .ownerOrAdmin(Orders.cancel),
            refusals: [.orderNotFound, .orderNotCancellable]),
        Route(
            .POST, "/api/v1/checkout", "checkout", .user(Orders.checkout),
            location: "/api/v1/orders/", refusals: [.productNotFound, .outOfStock, .couponNotUsable, .insufficientBalance]),
    ]

    private static let payments = [
        Route(
            .POST, "/api/v1/payments", "payOrder", .user(Payments.pay),
            location: "/api/v1/payments/", refusals: [.orderNotFound, .insufficientBalance, .orderNotPayable]),
        Route(.GET, "/api/v1/payments/{paymentId}", "getPayment", .ownerOrAdmin(Payments.get), refusals: [.paymentNotFound]),
        Route(
            .POST, "/api/v1/payments/{paymentId}/refunds", "refundPayment", .admin(Payments.refund),
            refusals: [.paymentNotFound, .refundExceedsPayment]),
    ]

    private static let events = [
        Route(.GET, "/api/v1/admin/events", "listEvents", .admin(Events.list)),
        // Retrying twice is refused by the event's own state, so no key is needed to make it safe.
        Route(
            .POST, "/api/v1/admin/events/{eventId}/retry", "retryEvent", .admin(Events.retry), honoursIdempotencyKey: false,
            refusals: [.eventNotFound, .eventNotParked]),
    ]

    private static let operations = [
        Route(.GET, "/healthz", "getHealth", .open(Operations.health)),
        Route(.GET, "/readyz", "getReadiness", .open(Operations.readiness)),
        Route(.GET, "/metrics", "getMetrics", .open(Operations.metrics)),
        Route(.GET, "/openapi.json", "getAPIDocument", .open(Operations.document)),
    ]
}
