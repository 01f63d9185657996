import NIOCore
import TestSupport

/// The bytes of a request as they are sent.
typealias RequestBytes = ByteBuffer

/// A route with one of its outcomes, whose cost decides how many customers a machine serves.
enum HotRoute: String, CaseIterable, Sendable {
    case soldOut = "claim, sold out"
    case alreadyClaimed = "claim, already claimed"
    case wins = "claim that wins"
    case top = "GET top"
    case product = "GET product"
    case balance = "GET balance"
    case charge = "charge"
    case order = "order"
    case payment = "payment"
    case checkout = "checkout"
    /// Of one product, in one commit.
    case paymentGroup = "payment, 64 in a group"
    case checkoutGroup = "checkout, 64 in a group"

    /// How many requests are written in one commit, where not each has its own.
    static let groupSize = 64
    var isGroup: Bool { self == .paymentGroup || self == .checkoutGroup }

    var status: Int {
        switch self {
        case .soldOut, .alreadyClaimed: 409
        case .top, .product, .balance: 200
        case .wins, .charge, .order, .payment, .checkout, .paymentGroup, .checkoutGroup: 201
        }
    }

    /// Whether the route leaves work to the background. It is measured without Redis, which it does not use, so that this work waits.
    var leavesWork: Bool { [.charge, .order, .payment, .checkout].contains(self) || isGroup }

    /// How many requests make one figure: so few that most figures contain no timer, even on a machine that is ten times slower.
    static let (reads, writes) = (50, 5)
    /// How many winning claims make one: a commit in the background seals the wins of half a second, and a few would not share it as many do.
    static let winsInFigure = 50

    private var isWrite: Bool { leavesWork || self == .wins }

    /// How many figures are measured at least. The least of them counts, because other work (a timer, a growing table, a renewed lease, a
    /// page of the log that is written) only adds to a figure, and is rare compared with the time that one takes.
    func figures(of cost: Cost) -> Int {
        if isGroup { return 5 }
        return switch cost {
        case .allocations: 40
        case .instructions: isWrite ? 40 : 20
        }
    }

    /// Makes the data that one figure's requests need, and returns the requests, to be sent one after the other.
    func prepare(_ service: MeasuredService) async throws -> [RequestBytes] {
        let (users, product) = (service.users.prefix(isGroup ? Self.groupSize : Self.writes), service.product)
        func repeated(_ request: RequestBytes) -> [RequestBytes] { Array(repeating: request, count: Self.reads) }
        switch self {
        case .soldOut: return repeated(users[1].request(posting: "/coupons/\(service.soldOutCoupon)/claims"))
        case .alreadyClaimed: return repeated(users[0].request(posting: "/coupons/\(service.soldOutCoupon)/claims"))
        case .wins:
            let coupon = try await service.admin.makeCoupon(quantity: Int64(Self.winsInFigure) + 1)
            // The first claim of a campaign reads it from the store, so another user makes it before.
            _ = try await service.other.claim(coupon).expect(201)
            return service.users.prefix(Self.winsInFigure).map { $0.request(posting: "/coupons/\(coupon)/claims") }
        case .top: return repeated(service.guest.request(getting: "/products/top"))
        case .product: return repeated(service.guest.request(getting: "/products/\(product)"))
        case .balance: return repeated(users[0].request(getting: "/users/\(users[0].id)/balance"))
        case .charge: return users.map(\.charging)
        case .order: return users.map { $0.request(posting: "/orders", body: Caller.orderBody(product, 1)) }
        case .payment, .paymentGroup:
            var requests: [RequestBytes] = []
            for user in users {
                let order = try await user.order(product).expect(201).int("orderId")
                requests.append(user.request(posting: "/payments", body: #"{"orderId": \#(order)}"#))
            }
            return requests
        case .checkout, .checkoutGroup: return users.map { $0.request(posting: "/checkout", body: Caller.orderBody(product, 1)) }
        }
    }
}

extension Caller {
    /// The bytes of a charge.
    var charging: RequestBytes { request(posting: "/users/\(id)/balance/charges", body: #"{"amount": 1000}"#) }

    /// The bytes of a request as a customer's application sends it.
    fileprivate func request(getting path: String) -> ByteBuffer { ByteBuffer(string: head("GET", path) + "\r\n") }

    fileprivate func request(posting path: String, body: String = "") -> ByteBuffer {
        let type = body.isEmpty ? "" : "Content-Type: application/json\r\n"
        return ByteBuffer(string: head("POST", path) + type + "Content-Length: \(body.utf8.count)\r\n\r\n" + body)
    }

    private func head(_ method: String, _ path: String) -> String {
        let authorization = token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        return "\(method) /api/v1\(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: allocations\r\nAccept: */*\r\n\(authorization)"
    }
}
