import Commerce
import HTTPServer
import Testing

@testable import API

@Suite("Who may do what")
struct AdmissionTests {
    /// What a route's rule says, without running its handler.
    private func admission(_ route: Route, _ identity: Identity, pathUser: Int64 = 1, exists: Bool = true) -> String {
        switch Admission(route.access, identity, pathUser: UserID(pathUser), prepared: PreparedAnswers(), userExists: { _ in exists }) {
        case .plain, .user, .acting, .identity, .list: "admitted"
        case .refused(let response): String(response.status)
        case .unknownUser: "404"
        }
    }

    private static let own = Identity.user(UserID(1))
    private static let other = Identity.user(UserID(2))

    @Test("every route admits exactly those whom the API document names", arguments: RouteTable.routes.indices)
    func matrix(index: Int) {
        let route = RouteTable.routes[index]
        let expected: (own: String, other: String, admin: String, missing: String) =
            switch route.endpoint.rule {
            case .open: ("admitted", "admitted", "admitted", "admitted")
            case .user: ("admitted", "admitted", "403", "404")
            case .admin: ("403", "403", "admitted", "403")
            case .selfOrAdmin: ("admitted", "403", "admitted", "404")
            case .ownerOrAdmin: ("admitted", "admitted", "admitted", "404")
            }
        #expect(admission(route, Self.own) == expected.own, "\(route.endpoint.operationID)")
        #expect(admission(route, Self.other) == expected.other, "\(route.endpoint.operationID)")
        #expect(admission(route, .anyAdmin) == expected.admin, "\(route.endpoint.operationID)")
        #expect(admission(route, Self.own, exists: false) == expected.missing, "\(route.endpoint.operationID)")
    }

    @Test("an admin is told when the user of the path does not exist; a stranger is not")
    func missingUser() throws {
        let route = try #require(RouteTable.routes.first { $0.endpoint.operationID == "getBalance" })
        #expect(admission(route, .anyAdmin, exists: false) == "404")
        #expect(admission(route, Self.other, exists: false) == "403")
    }

    @Test("the rules are those of the API document")
    func rules() {
        let open = [
            "listProducts", "getTopProducts", "getProduct", "listCoupons", "getCoupon", "listChain", "getHealth", "getReadiness",
            "getMetrics", "getAPIDocument", "getDocumentationPage", "getConsole", "getConsoleStyle", "getConsoleScript", "getConsoleIcon",
        ]
        let admin = [
            "createUser", "createProduct", "updateProduct", "createCoupon", "updateCoupon", "refundPayment", "listEvents", "retryEvent",
            "retryEvents", "listAdminLog", "watchService", "listWinners", "grantCoupons", "listGrants", "getGrant",
        ]
        let user = ["claimCoupon", "placeOrder", "checkout", "payOrder"]
        let selfOrAdmin = ["getUser", "getBalance", "chargeBalance", "listBalanceHistory", "listIssuedCoupons", "listOrders"]
        let owner = ["getOrder", "cancelOrder", "getPayment"]
        for route in RouteTable.routes {
            let expected =
                switch route.endpoint.rule {
                case .open: open
                case .admin: admin
                case .user: user
                case .selfOrAdmin: selfOrAdmin
                case .ownerOrAdmin: owner
                }
            #expect(expected.contains(route.endpoint.operationID), "\(route.endpoint.operationID)")
        }
        #expect(open.count + admin.count + user.count + selfOrAdmin.count + owner.count == RouteTable.routes.count)
    }

    @Test("what belongs to somebody is read by them and by admins alone")
    func owners() {
        #expect(Self.own.mayRead(whatBelongsTo: UserID(1)))
        #expect(!Self.other.mayRead(whatBelongsTo: UserID(1)))
        #expect(Identity.admin(subject: "2").mayRead(whatBelongsTo: UserID(1)))
    }
}
