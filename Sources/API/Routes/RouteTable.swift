import HTTPServer

/// Every route of the service. The OpenAPI document describes the same ones, and a test compares the two.
enum RouteTable {
    /// Built for each event loop, so that loops do not contend for the same reference counts.
    static var routes: [Route] { users + products + coupons + orders + payments + events + adminLog + operations }

    private static var users: [Route] {
        [
            Route(.post, "/api/v1/users", "createUser", .admin(Users.create), location: "/api/v1/users/"),
            Route(.get, "/api/v1/users/{userId}", "getUser", .selfOrAdmin(Users.get)),
            Route(.get, "/api/v1/users/{userId}/balance", "getBalance", .selfOrAdmin(Balances.get)),
            Route(
                .post, "/api/v1/users/{userId}/balance/charges", "chargeBalance", .selfOrLoggedAdmin(Balances.charge),
                refusals: [.amountOutOfRange, .balanceLimitExceeded]),
            Route(.get, "/api/v1/users/{userId}/balance/history", "listBalanceHistory", .selfOrAdmin(Balances.history)),
            Route(.get, "/api/v1/users/{userId}/coupons", "listIssuedCoupons", .selfOrAdmin(Coupons.listIssued)),
            Route(.get, "/api/v1/users/{userId}/orders", "listOrders", .selfOrAdmin(Orders.list)),
        ]
    }

    private static var products: [Route] {
        [
            Route(.post, "/api/v1/products", "createProduct", .admin(Products.create), location: "/api/v1/products/"),
            Route(.get, "/api/v1/products", "listProducts", .open(Products.list)),
            Route(.get, "/api/v1/products/top", "getTopProducts", .open(Products.top)),
            Route(.get, "/api/v1/products/{productId}", "getProduct", .open(Products.get), refusals: [.productNotFound]),
            Route(
                .patch, "/api/v1/products/{productId}", "updateProduct", .admin(Products.update),
                refusals: [.productNotFound, .outOfStock, .preconditionFailed]),
        ]
    }

    private static var coupons: [Route] {
        [
            Route(.post, "/api/v1/coupons", "createCoupon", .admin(Coupons.create), location: "/api/v1/coupons/"),
            Route(.get, "/api/v1/coupons", "listCoupons", .open(Coupons.list)),
            Route(.get, "/api/v1/coupons/{couponId}", "getCoupon", .open(Coupons.get), refusals: [.couponNotFound]),
            Route(
                .patch, "/api/v1/coupons/{couponId}", "updateCoupon", .admin(Coupons.update),
                refusals: [.couponNotFound, .quantityIssued, .preconditionFailed]),
            Route(
                .get, "/api/v1/coupons/{couponId}/issued.csv", "listWinners", .admin(WinLists.issued), refusals: [.couponNotFound],
                stream: .adminExport),
            Route(
                .get, "/api/v1/coupons/{couponId}/chain.csv", "listChain", .open(WinLists.chain), refusals: [.couponNotFound],
                stream: .openExport),
            Route(
                .post, "/api/v1/coupons/{couponId}/claims", "claimCoupon", .user(Coupons.claim), readsBody: false,
                refusals: [.couponNotFound, .couponSoldOut, .couponAlreadyClaimed, .couponNotOpen, .couponClosed]),
            Route(
                .post, "/api/v1/coupons/{couponId}/grants", "grantCoupons", .adminList(CouponGrants.create),
                location: ResourceLocation(prefix: "/api/v1/coupons/", collection: "/grants/"),
                refusals: [.couponNotFound, .couponClosed]),
            Route(
                .get, "/api/v1/coupons/{couponId}/grants", "listGrants", .admin(CouponGrants.list), refusals: [.couponNotFound]),
            Route(
                .get, "/api/v1/coupons/{couponId}/grants/{grantId}", "getGrant", .admin(CouponGrants.get),
                refusals: [.couponNotFound, .grantNotFound]),
        ]
    }

    private static var orders: [Route] {
        [
            Route(
                .post, "/api/v1/orders", "placeOrder", .user(Orders.place), location: "/api/v1/orders/",
                refusals: [.productNotFound, .outOfStock, .couponNotUsable]),
            Route(.get, "/api/v1/orders/{orderId}", "getOrder", .ownerOrAdmin(Orders.get), refusals: [.orderNotFound]),
            Route(
                .post, "/api/v1/orders/{orderId}/cancel", "cancelOrder", .ownerOrAdmin(Orders.cancel),
                refusals: [.orderNotFound, .orderNotCancellable]),
            Route(
                .post, "/api/v1/checkout", "checkout", .user(Orders.checkout),
                location: "/api/v1/orders/", refusals: [.productNotFound, .outOfStock, .couponNotUsable, .insufficientBalance]),
        ]
    }

    private static var payments: [Route] {
        [
            Route(
                .post, "/api/v1/payments", "payOrder", .user(Payments.pay),
                location: "/api/v1/payments/", refusals: [.orderNotFound, .insufficientBalance, .orderNotPayable]),
            Route(.get, "/api/v1/payments/{paymentId}", "getPayment", .ownerOrAdmin(Payments.get), refusals: [.paymentNotFound]),
            Route(
                .post, "/api/v1/payments/{paymentId}/refunds", "refundPayment", .admin(Payments.refund),
                refusals: [.paymentNotFound, .refundExceedsPayment]),
        ]
    }

    private static var events: [Route] {
        [
            Route(.get, "/api/v1/admin/events", "listEvents", .admin(Events.list)),
            // Retrying twice is refused by the event's own state, so no key is needed to make it safe.
            Route(
                .post, "/api/v1/admin/events/{eventId}/retry", "retryEvent", .admin(Events.retry), acceptsIdempotencyKey: false,
                refusals: [.eventNotFound, .eventNotParked]),
            // A second call finds nothing that is parked.
            Route(.post, "/api/v1/admin/events/retry", "retryEvents", .admin(Events.retryAll), acceptsIdempotencyKey: false),
            Route(.get, "/api/v1/admin/live", "watchService", .admin(Live.watch), refusals: [.couponNotFound], stream: .live),
        ]
    }

    private static var adminLog: [Route] {
        [Route(.get, "/api/v1/admin/log", "listAdminLog", .admin(AdminLogs.list))]
    }

    private static var operations: [Route] {
        [
            Route(.get, "/healthz", "getHealth", .open(Operations.health)),
            Route(.get, "/readyz", "getReadiness", .open(Operations.readiness), isForOperators: true),
            Route(.get, "/metrics", "getMetrics", .open(Operations.metrics), isForOperators: true),
            Route(.get, "/openapi.json", "getAPIDocument", .open(Operations.document)),
            Route(.get, "/docs", "getDocumentationPage", .open(Operations.documentationPage)),
            Route(.get, "/console", "getConsole", .open(Operations.console { $0.page }), isForOperators: true),
            Route(.get, "/console/console.css", "getConsoleStyle", .open(Operations.console { $0.style }), isForOperators: true),
            Route(.get, "/console/console.js", "getConsoleScript", .open(Operations.console { $0.script }), isForOperators: true),
            Route(.get, "/console/icon.svg", "getConsoleIcon", .open(Operations.console { $0.icon }), isForOperators: true),
        ]
    }
}
