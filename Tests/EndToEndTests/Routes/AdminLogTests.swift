import API
import App
import Commerce
import FaultPoints
import Foundation
import GRDB
import JSON
import NIOCore
import Services
import Store
import TestSupport
import Testing

extension EndToEnd {
    @Suite("What admins do is logged", .sharedService, .everyEngine)
    struct AdminLogTests {}
}

extension EndToEnd.AdminLogTests {
    /// A caller with a token of role admin for one operator, and what the log has of that operator, the oldest first.
    private struct Operator {
        let caller: Caller
        let name: String

        init(_ name: String) async throws {
            let live = try service
            let end = Instant(milliseconds: 4_102_444_800_000)
            let token = live.running.tokenKey.sign(.admin(subject: name), issuedAt: live.clock.now, expiresAt: end)
            (caller, self.name) = (Caller(pool: live.admin.pool, token: token), name)
        }

        func log() async throws -> [JSONValue] {
            let actor = name.utf8.map { "%" + String(Int($0) + 0x100, radix: 16).dropFirst() }.joined()
            return try await caller.get("/admin/log?limit=100&actor=\(actor)").expect(200).items().reversed()
        }

        /// Each entry as one line.
        func lines() async throws -> [String] {
            try await log().map { entry in
                var details = JSONWriter()
                details.element(entry["details"] ?? .null)
                return "\(entry["action"]?.string ?? "") \(entry["object"]?.string ?? "") \(String(buffer: details.buffer))"
            }
        }
    }

    @Test("everything that an admin changes through HTTP leaves one entry, with the values before and after")
    func everyAction() async throws {
        let live = try service
        let operator1 = try await Operator("김 운영자")
        let admin = operator1.caller
        let user = try await admin.post("/users", #"{"name": "이바다"}"#).expect(201).int("userId")
        let charge = try await admin.post("/users/\(user)/balance/charges", #"{"amount": 50000}"#).expect(201).int("chargeId")
        let product = try await admin.makeProduct(price: 1_000, stock: 9, name: "감귤")
        _ = try await admin.patch("/products/\(product)", #"{"price": 900, "stockChange": -2}"#).expect(200)
        let coupon = try await admin.makeCoupon(quantity: 5, #", "closesAt": "2099-01-01T00:00:00Z""#)
        _ = try await admin.patch("/coupons/\(coupon)", #"{"quantity": 7, "closesAt": null}"#).expect(200)
        let customer = try await live.caller(user: user)
        let order = try await customer.order(product).expect(201)
        _ = try await admin.cancel(try order.int("orderId")).expect(200)
        let payment = try await customer.checkout(product, 2).expect(201)
        let paymentID = try #require(try payment.json()["payment"]?["paymentId"]?.int)
        let paidOrder = try #require(try payment.json()["order"]?["orderId"]?.int)
        let refund = try await admin.refund(paymentID, product, 1).expect(201).int("refundId")
        let event = try #require(try await live.store.events(state: nil, page: PageRequest(limit: 1)).items.first?.event.id)
        try await eventually("the event is delivered") { try await live.store.waitingEvents([event]).isEmpty }
        try await Self.park(event, live.store)
        _ = try await admin.post("/admin/events/\(event)/retry").expect(200)
        try await eventually("the event is delivered again") { try await live.store.waitingEvents([event]).isEmpty }
        try await Self.park(event, live.store)
        _ = try await admin.post("/admin/events/retry").expect(200)
        #expect(
            try await operator1.lines() == [
                "user.create user:\(user) {}",
                #"balance.charge user:\#(user) {"chargeId":\#(charge),"amount":50000,"balance":50000}"#,
                #"product.create product:\#(product) {"name":"감귤","price":1000,"stock":9}"#,
                #"product.update product:\#(product) {"price":{"from":1000,"to":900},"stock":{"from":9,"to":7}}"#,
                #"coupon.create coupon:\#(coupon) {"name":"선착순","discount":{"type":"FIXED","amount":1000},"quantity":5,"#
                    + #""opensAt":"2020-01-01T00:00:00.000Z","closesAt":"2099-01-01T00:00:00.000Z"}"#,
                #"coupon.update coupon:\#(coupon) {"quantity":{"from":5,"to":7},"#
                    + #""closesAt":{"from":"2099-01-01T00:00:00.000Z","to":null}}"#,
                #"order.cancel order:\#(try order.int("orderId")) {"orderNumber":"\#(try order.string("orderNumber"))","userId":\#(user)}"#,
                #"payment.refund payment:\#(paymentID) {"refundId":\#(refund),"amount":900,"items":[{"productId":\#(product),"quantity":1}]}"#,
                #"event.retry event:\#(event) {"orderId":\#(paidOrder)}"#,
                #"events.retry events {"parked":1}"#,
            ])
    }

    /// Parks an event that was delivered, as a platform does that refuses it.
    private static func park(_ event: EventID, _ store: TransactionalStore) async throws {
        let live = try service
        let sql = "UPDATE events SET delivery = 2 WHERE id = \(event)"
        if let database = live.storeDatabase { try database.sql(sql) } else { try live.database { try $0.execute(sql: sql) } }
    }

    @Test("a refused and a replayed action leave no entry, and neither does what users do for themselves")
    func nothingToLog() async throws {
        let live = try service
        let operator2 = try await Operator("Lee")
        let user = try await live.newUser()
        for _ in 0..<2 {
            _ = try await operator2.caller.post("/users/\(user.id)/balance/charges", #"{"amount": 5000}"#, key: "k").expect(201)
        }
        #expect(try await operator2.log().count == 1)
        _ = try await operator2.caller.post("/users/\(user.id)/balance/charges", #"{"amount": 1}"#).expect(400)
        _ = try await operator2.caller.patch("/products/999999", #"{"price": 1}"#).expect(404)
        _ = try await operator2.caller.patch("/coupons/999999", #"{"quantity": 1}"#).expect(404)
        _ = try await operator2.caller.post("/admin/events/retry").expect(200)
        #expect(try await operator2.log().count == 1)
        let newest = try await operator2.caller.get("/admin/log?limit=1").expect(200).items().first?["logId"]
        try await user.charge(10_000)
        let product = try await live.store.products(ProductFilter(), page: PageRequest(limit: 1)).items.first?.id.rawValue
        if let product {
            let order = try await user.order(product)
            if order.status == 201 { _ = try await user.cancel(try order.int("orderId")).expect(200) }
        }
        let later = try await operator2.caller.get("/admin/log?limit=100").expect(200).items()
        // Other tests of the suite may have logged meanwhile, this user has not.
        #expect(newest != nil && !later.contains { $0["actor"]?.string == String(user.id) })
    }

    @Test("an entry names the request, is found by its object, and only admins read it")
    func reading() async throws {
        let live = try service
        let operator3 = try await Operator("Park")
        let answer = try await operator3.caller.post("/products", #"{"name": "귤", "price": 5, "stock": 1}"#).expect(201)
        let product = try answer.int("productId")
        let entry = try #require(try await operator3.caller.get("/admin/log?object=product:\(product)").expect(200).items().first)
        #expect(entry["requestId"]?.string == answer[header: "x-request-id"])
        #expect(try entry["at"]?.string == answer.string("createdAt"))
        _ = try await operator3.caller.get("/admin/log?actor=").expect(400)
        _ = try await operator3.caller.get("/admin/log?object=%00").expect(400)
        _ = try await operator3.caller.get("/admin/log?cursor=e0000000000000001").expect(400)
        _ = try await live.newUser().get("/admin/log").expect(403)
        _ = try await live.guest.get("/admin/log").expect(401)
        #expect(try await live.audit().checks.filter { $0.violationCount > 0 }.isEmpty)
    }

    @Test("a subject that PostgreSQL cannot keep is logged all the same")
    func subject() async throws {
        let operator4 = try await Operator("a\0b")
        _ = try await operator4.caller.post("/products", #"{"name": "귤", "price": 5, "stock": 1}"#).expect(201)
        #expect(try await operator4.caller.get("/admin/log?actor=a%EF%BF%BDb").expect(200).items().count == 1)
    }
}

extension EndToEnd {
    @Suite("The admin log after a crash")
    struct AdminLogCrashTests {
        @Test(
            "a service that is killed around a commit leaves each action of an admin with its entry, and no entry without its action",
            arguments: AdminLogAfterKill.points)
        func killed(_ point: FaultPoint) async throws {
            try await withDataFolder { folder in
                try await AdminLogAfterKill(folder: folder, serve: [], token: ["--data", folder]).check(point)
            }
        }
    }
}

/// An admin makes users until the service kills itself; after a restart, users and entries are compared.
struct AdminLogAfterKill {
    static let points = [FaultPoint.beforeCommit, .afterCommit, .beforeAnswer]

    let folder: String
    /// Arguments of `serve` and of `token` besides the usual ones.
    let serve: [String]
    let token: [String]

    /// The service keeps its keys in the store, so it must have begun.
    private func admin(of serve: ServeProcess) async throws -> Caller {
        let made = try await Tool.run(["token", "--admin", "--subject", "kim"] + token)
        return Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1), token: made.lines.first)
    }

    func check(_ point: FaultPoint) async throws {
        var told: Int64 = 0
        try await withServe(folder, ["--port", "0"] + serve, environment: [FaultPoint.variable: "\(point.rawValue):9"]) { serve in
            let admin = try await admin(of: serve)
            try await eventually("the service is ready") { try await admin.get("/readyz").status == 200 }
            while told < 50, let answer = try? await admin.post("/users", #"{"name": "이바다"}"#) {
                #expect(answer.status == 201)
                told += 1
            }
            try await eventually("the service is killed") { !serve.isRunning }
            #expect(serve.endingSignal == SIGKILL)
        }
        try await withServe(folder, ["--port", "0"] + serve) { serve in
            let admin = try await admin(of: serve)
            let entries = try await admin.get("/admin/log?limit=100").expect(200).items().reversed()
            let count = Int64(entries.count)
            #expect(count == (point == .beforeCommit ? told : told + 1) && told > 0, "\(told) were told, \(count) are logged")
            #expect(entries.map { $0["object"]?.string } == (0..<count).map { "user:\($0 + 1)" })
            _ = try await admin.get("/users/\(count)").expect(200)
            _ = try await admin.get("/users/\(count + 1)").expect(404)
        }
    }
}
