import Commerce
import GRDB
import JSON
import NIOCore
import Synchronization
import TestSupport
import Testing

/// One POST that honours `Idempotency-Key`: what has to exist before it, and two bodies that both would succeed.
struct KeyedPost: Sendable, CustomTestStringConvertible {
    struct Prepared: Sendable {
        let caller: Caller
        let path: String
        let body: String?
        /// A good request with the same key that is another one: another body, or where there is none another path.
        let otherPath: String
        let otherBody: String?
    }

    let testDescription: String
    let prepare: @Sendable (LiveService) async throws -> Prepared

    private static func post(
        _ name: String,
        _ prepare:
            @escaping @Sendable (LiveService) async throws -> (Caller, path: String, body: String?, otherPath: String?, otherBody: String?)
    ) -> KeyedPost {
        KeyedPost(testDescription: "POST \(name)") { live in
            let (caller, path, body, otherPath, otherBody) = try await prepare(live)
            return Prepared(caller: caller, path: path, body: body, otherPath: otherPath ?? path, otherBody: otherBody)
        }
    }

    private static func shopper(_ live: LiveService) async throws -> (user: Caller, product: Int64) {
        (try await live.newUser(balance: 1_000_000), try await live.admin.makeProduct(price: 1_000))
    }

    static let all = [
        post("/users") { ($0.admin, "/users", #"{"name": "가"}"#, nil, #"{"name": "나"}"#) },
        post("/users/{userId}/balance/charges") { live in
            let user = try await live.newUser()
            return (user, "/users/\(user.id)/balance/charges", #"{"amount": 1000}"#, nil, #"{"amount": 2000}"#)
        },
        post("/products") {
            ($0.admin, "/products", #"{"name": "가", "price": 1, "stock": 1}"#, nil, #"{"name": "가", "price": 1, "stock": 2}"#)
        },
        post("/coupons") {
            let coupon = { (quantity: Int) in #"{"name": "가", "discount": {"type": "FIXED", "amount": 1}, "quantity": \#(quantity)}"# }
            return ($0.admin, "/coupons", coupon(1), nil, coupon(2))
        },
        post("/coupons/{couponId}/claims") { live in
            let (first, second) = (try await live.admin.makeCoupon(), try await live.admin.makeCoupon())
            return (try await live.newUser(), "/coupons/\(first)/claims", nil, "/coupons/\(second)/claims", nil)
        },
        post("/orders") { live in
            let (user, product) = try await shopper(live)
            return (user, "/orders", Caller.orderBody(product, 1), nil, Caller.orderBody(product, 2))
        },
        post("/checkout") { live in
            let (user, product) = try await shopper(live)
            return (user, "/checkout", Caller.orderBody(product, 1), nil, Caller.orderBody(product, 2))
        },
        post("/orders/{orderId}/cancel") { live in
            let (user, product) = try await shopper(live)
            let (first, second) = (try await user.order(product).int("orderId"), try await user.order(product).int("orderId"))
            return (user, "/orders/\(first)/cancel", nil, "/orders/\(second)/cancel", nil)
        },
        post("/payments") { live in
            let (user, product) = try await shopper(live)
            let (first, second) = (try await user.order(product).int("orderId"), try await user.order(product).int("orderId"))
            return (user, "/payments", #"{"orderId": \#(first)}"#, nil, #"{"orderId": \#(second)}"#)
        },
        post("/payments/{paymentId}/refunds") { live in
            let (user, product) = try await shopper(live)
            let payment = try await user.checkout(product, 5).expect(201).int("payment", "paymentId")
            let refund = { (quantity: Int) in #"{"items": [{"productId": \#(product), "quantity": \#(quantity)}]}"# }
            return (live.admin, "/payments/\(payment)/refunds", refund(1), nil, refund(2))
        },
    ]
}

extension EndToEnd {
    @Suite("A request with an Idempotency-Key takes effect once", .sharedService, .everyEngine)
    struct IdempotencyTests {}
}

extension EndToEnd.IdempotencyTests {
    private static func key() -> String { "key-\(UInt64.random(in: 0 ... .max))" }

    @Test("the first answer again, byte for byte; another body or route with the same key is refused", arguments: KeyedPost.all)
    func replay(_ post: KeyedPost) async throws {
        let live = try service
        let (request, key) = (try await post.prepare(live), Self.key())
        let first = try await request.caller.post(request.path, request.body, key: key)
        #expect((200...201).contains(first.status), "\(first.text)")
        #expect(first[header: "idempotent-replayed"] == nil)
        try await eventsDelivered(live)
        let before = try live.dump()
        for _ in 0..<3 {
            let again = try await request.caller.post(request.path, request.body, key: key)
            #expect(again.status == first.status && again.body == first.body)
            #expect(again[header: "idempotent-replayed"] == "true")
            for name in ["location", "content-type", "cache-control"] { #expect(again[header: name] == first[header: name]) }
        }
        let other = try await request.caller.post(request.otherPath, request.otherBody, key: key)
        #expect(other.status == 422 && other.code == "IDEMPOTENCY_KEY_REUSED", "\(other.text)")
        #expect(try live.dump() == before)
        #expect(try await request.caller.post(request.otherPath, request.otherBody, key: Self.key()).status == first.status)
    }

    @Test("while the first still runs, the second with its key is told so, and the first ends as if alone", arguments: KeyedPost.all)
    func inUse(_ post: KeyedPost) async throws {
        let live = try service
        for attempt in 1...20 {
            let (request, key) = (try await post.prepare(live), Self.key())
            let (answer, second) = try await Self.bothWhileLocked(live, request, key: key)
            // The store waits two seconds for the lock: on a machine that takes longer the first is told to come back.
            if answer.status == 503, attempt < 20 { continue }
            #expect(second?.status == 409 && second?.code == "IDEMPOTENCY_KEY_IN_USE")
            #expect(second?[header: "retry-after"] != nil)
            #expect((200...201).contains(answer.status), "\(answer.text)")
            #expect(try await request.caller.post(request.path, request.body, key: key).body == answer.body)
            return
        }
    }

    /// A request while somebody else's transaction holds the store's write lock, so that it waits for its commit, and another with its
    /// key; nil for that one where the first was answered before.
    private static func bothWhileLocked(
        _ live: LiveService, _ request: KeyedPost.Prepared, key: String
    ) async throws -> (first: HTTPAnswer, second: HTTPAnswer?) {
        let lock = try WriteLock(live)
        let isAnswered = Atomic(false)
        async let first = {
            defer { isAnswered.store(true, ordering: .releasing) }
            return try await request.caller.post(request.path, request.body, key: key)
        }()
        var second: HTTPAnswer?
        do {
            try await eventually("the first request holds the key") {
                let metrics = try await live.admin.get("/metrics").text
                return isAnswered.load(ordering: .acquiring) || metrics.contains("firstcome_http_requests_in_flight 1")
            }
            if !isAnswered.load(ordering: .acquiring) { second = try await request.caller.post(request.path, request.body, key: key) }
        } catch {
            lock.release()
            _ = try await first
            throw error
        }
        lock.release()
        return (try await first, second)
    }

    @Test("a refusal is not remembered: the same key succeeds once the reason is gone")
    func refusalsAreForgotten() async throws {
        let live = try service
        let user = try await live.newUser(balance: 1_000)
        let product = try await live.admin.makeProduct(price: 3_000, stock: 1)
        let order = try await user.order(product).expect(201).int("orderId")
        let pay = #"{"orderId": \#(order)}"#
        #expect(try await user.post("/payments", pay, key: "pay").code == "INSUFFICIENT_BALANCE")
        try await user.charge(5_000)
        #expect(try await user.post("/payments", pay, key: "pay").status == 201)

        let body = Caller.orderBody(product, 1)
        #expect(try await user.post("/checkout", body, key: "again").code == "OUT_OF_STOCK")
        _ = try await live.admin.patch("/products/\(product)", #"{"stock": 1}"#).expect(200)
        #expect(try await user.post("/checkout", body, key: "again").status == 201)

        let coupon = try await live.admin.makeCoupon(quantity: 1)
        _ = try await live.newUser().claim(coupon).expect(201)
        #expect(try await user.post("/coupons/\(coupon)/claims", key: "claim").code == "COUPON_SOLD_OUT")
        _ = try await live.admin.patch("/coupons/\(coupon)", #"{"quantity": 2}"#).expect(200)
        #expect(try await user.post("/coupons/\(coupon)/claims", key: "claim").status == 201)
    }

    @Test("one key in 100 charges at once: one credit")
    func oneCredit() async throws {
        let live = try service
        let user = try await live.newUser()
        let answers = try await together(Array(repeating: user, count: 100)) {
            try await $0.post("/users/\($0.id)/balance/charges", #"{"amount": 7000}"#, key: "top-up")
        }
        let done = answers.with(status: 201)
        #expect(done.count >= 1 && Set(done.map(\.text)).count == 1)
        #expect(done.filter { $0[header: "idempotent-replayed"] == nil }.count == 1)
        #expect(answers.allSatisfy { $0.status == 201 || $0.code == "IDEMPOTENCY_KEY_IN_USE" }, "\(answers.statusCounts)")
        #expect(try await user.balance == 7_000)
        #expect(try await user.get("/users/\(user.id)/balance/history").items().count == 1)
    }

    @Test("the keys of different people never meet, those of an admin and a user included")
    func differentPeople() async throws {
        let live = try service
        let users = [try await live.newUser(), try await live.newUser()]
        for user in users {
            let charge = try await user.post("/users/\(user.id)/balance/charges", #"{"amount": 1000}"#, key: "same").expect(201)
            #expect(charge[header: "idempotent-replayed"] == nil)
            _ = try await live.admin.post("/users/\(user.id)/balance/charges", #"{"amount": 1000}"#, key: "same-\(user.id)").expect(201)
            _ = try await user.post("/users/\(user.id)/balance/charges", #"{"amount": 1000}"#, key: "same-\(user.id)").expect(201)
            #expect(try await user.balance == 3_000)
        }
    }

    @Test("a key has 1 to 255 visible ASCII characters", arguments: [(255, 201), (256, 400), (1, 201)])
    func keyLength(length: Int, status: Int) async throws {
        let user = try await service.newUser()
        let answer = try await user.post(
            "/users/\(user.id)/balance/charges", #"{"amount": 1000}"#, key: String(repeating: "~", count: length))
        #expect(answer.status == status)
        if status == 400 { #expect(answer.code == "INVALID_REQUEST") }
    }

    @Test("an answer is remembered for 24 hours by the service's clock, and not a millisecond longer")
    func memoryEnds() async throws {
        var setup = LiveService.Setup()
        let start = Instant(milliseconds: 1_800_000_000_000)
        setup.standingClock = start
        try await LiveService.run(setup) { live in
            let user = try await live.newUser()
            let charge = { try await user.post("/users/\(user.id)/balance/charges", #"{"amount": 1000}"#, key: "daily").expect(201) }
            let first = try await charge()
            live.clock.stop(at: Instant(milliseconds: start.milliseconds + 86_400_000 - 1))
            #expect(try await charge().text == first.text)
            #expect(try await user.balance == 1_000)
            live.clock.stop(at: Instant(milliseconds: start.milliseconds + 86_400_000))
            let second = try await charge()
            #expect(second[header: "idempotent-replayed"] == nil)
            #expect(try await user.balance == 2_000)
            #expect(try await charge().text == second.text)
        }
    }
}

/// Holds the store's write lock from a connection of its own, as a long foreign transaction would.
private final class WriteLock {
    private let queue: DatabaseQueue

    init(_ live: LiveService) throws {
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        configuration.busyMode = .timeout(2)
        queue = try DatabaseQueue(path: live.folder + "/store.sqlite", configuration: configuration)
        try queue.inDatabase { try $0.execute(sql: "BEGIN IMMEDIATE") }
    }

    func release() {
        // Nothing was written, so a rollback has nothing that could fail.
        try? queue.inDatabase { try $0.execute(sql: "ROLLBACK") }
        try? queue.close()
    }
}
