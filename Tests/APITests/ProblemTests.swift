import Commerce
import HTTPServer
import JSON
import NIOCore
import Redis
import Services
import Store
import Testing

@testable import API

/// An error that no table knows.
private struct UnknownError: Error {
    let text = "secret"
}

@Suite("Problems")
struct ProblemTests {
    private func members(_ refusal: Refusal) throws -> JSONValue {
        try JSONParser.parse(Problem(refusal, at: Samples.now).response.body)
    }

    @Test("a refusal carries what its code promises")
    func extras() throws {
        let coupon = try Samples.coupon()
        let claimed = try JSONParser.parse(Problem.couponAlreadyClaimed(coupon, at: Samples.now).response.body)
        #expect(claimed["issuedCoupon"]?["code"] == .string(coupon.code.description))
        #expect(try members(.couponNotOpen(opensAt: Samples.later))["opensAt"] == .string(Samples.later.description))
        let stock = try members(.outOfStock(ProductID(3), available: 0))
        #expect(stock["productId"] == .integer(3) && stock["available"] == .integer(0))
        #expect(try members(.couponNotUsable(.belowMinimum))["reason"] == .string("BELOW_MINIMUM"))
        #expect(try members(.orderNotPayable(.expired))["orderStatus"] == .string("EXPIRED"))
        let balance = try members(.insufficientBalance(balance: Won(1), required: Won(2)))
        #expect(balance["balance"] == .integer(1) && balance["required"] == .integer(2))
        let amount = try members(.amountOutOfRange(Won(1)...Won(2)))
        #expect(amount["errors"]?.elements?.first?["field"] == .string("amount"))
        let invalid = try members(.invalid(field: "items", reason: "are too much"))
        #expect(invalid["errors"]?.elements?.first?["reason"] == .string("are too much"))
    }

    @Test("not open yet says how many seconds to wait, rounded up, and at least one")
    func retryAfter() {
        for (milliseconds, seconds) in [(1, "1"), (999, "1"), (1000, "1"), (1001, "2"), (60_000, "60"), (0, "1"), (-5000, "1")] {
            let opensAt = Instant(milliseconds: Samples.now.milliseconds + Int64(milliseconds))
            let headers = Problem(.couponNotOpen(opensAt: opensAt), at: Samples.now).response.headers
            #expect(headers.first { $0.name == "retry-after" }?.value == seconds)
        }
    }

    @Test("the types of problems are distinct and stable")
    func types() {
        #expect(Set(ProblemCode.allCases.map(\.type)).count == ProblemCode.allCases.count)
        #expect(ProblemCode.couponSoldOut.type == "/problems/coupon-sold-out")
    }

    @Test("what passes by itself is 503 with Retry-After; what must not happen is 500 and says nothing")
    func failures() throws {
        let passing: [any Error] = [
            StoreError(.unavailable, "secret"), StoreError(.overloaded, "secret"), StoreError(.closed, "secret"),
            RedisError(.overloaded, "secret"), RedisError(.timedOut, "secret"), RedisError(.unknownOutcome, "secret"),
            RedisError(.notConnected, "secret"), RedisError(.server(.outOfMemory), "secret"), RedisError(.server(.loading), "secret"),
            RedisError(.server(.cannotPersist), "secret"), ServiceError(.paused, "secret"), CancellationError(),
        ]
        let broken: [any Error] = [
            StoreError(.corrupt, "secret"), StoreError(.malformedRow, "secret"), StoreError(.internal, "secret"),
            RedisError(.protocolViolation, "secret"),
            RedisError(.server(.wrongType), "secret"), RedisError(.server(.wrongPassword), "secret"), ServiceError(.internal, "secret"),
            UnknownError(),
        ]
        for (errors, status) in [(passing, 503), (broken, 500)] {
            for error in errors {
                let response = Failure(error).problem.response
                #expect(response.status == status, "\(error)")
                #expect(response.headers.contains { $0.name == "retry-after" } == (status == 503), "\(error)")
                #expect(!String(buffer: response.body).contains("secret"), "\(error)")
            }
        }
    }

    @Test("a cursor the store cannot read is a bad request")
    func cursor() throws {
        let problem = Failure(StoreError(.invalidCursor, "no cursor")).problem
        #expect(problem.code == .invalidRequest && problem.faults.map(\.field) == ["cursor"])
    }

    @Test("the server's own refusals are problems with the status they stand for")
    func serverRefusals() throws {
        let refusals: [HTTPRefusal] = [
            .badRequest(reason: "A line is malformed."), .payloadTooLarge, .headersTooLarge, .requestTimeout, .expectationFailed,
            .tooManyRequests, .tooManyConnections, .draining, .connectNotSupported, .largeBodyTooLarge, .largeBodiesExhausted,
        ]
        for refusal in refusals {
            let response = PreparedAnswers().response(to: refusal)
            let body = try JSONParser.parse(response.body)
            #expect(response.status == refusal.status && body["status"] == .integer(Int64(refusal.status)), "\(refusal)")
            #expect(response.contentType == "application/problem+json")
            let mustRetry = response.status == 429 || response.status == 503
            #expect(response.headers.contains { $0.name == "retry-after" } == mustRetry, "\(refusal)")
        }
    }

    @Test("each 401 names the bearer scheme, and the error where a token was sent")
    func challenges() {
        for (fault, error) in [(Authentication.Fault.missing, false), (.signature, true), (.expired, true), (.premature, true)] {
            let response = PreparedAnswers().response(to: fault)
            let challenge = response.headers.first { $0.name == "www-authenticate" }?.value ?? ""
            #expect(response.status == 401 && challenge.hasPrefix("Bearer "))
            #expect(challenge.contains("error=\"invalid_token\"") == error)
        }
    }
}

@Suite("Where what was made can be read")
struct ResourceLocationTests {
    @Test("the path ends in the first number of the answer")
    func path() throws {
        let orders: ResourceLocation = "/api/v1/orders/"
        let order = JSONWriter.document { $0.write(Samples.order(.pending), at: Samples.now) }
        let checkout = Checkout(order: Samples.order(.paid), payment: Samples.payment)
        #expect(orders.path(in: order) == "/api/v1/orders/6")
        #expect(orders.path(in: JSONWriter.document { $0.write(checkout, at: Samples.now) }) == "/api/v1/orders/6")
        #expect(ResourceLocation(stringLiteral: "/p/").path(in: JSONWriter.document { $0.write(Samples.payment) }) == "/p/7")
        #expect(ResourceLocation(stringLiteral: "/p/").path(in: JSONWriter.document { $0.write(Samples.product) }) == "/p/3")
        #expect(ResourceLocation(stringLiteral: "/p/").path(in: JSONWriter.document { $0.write(Samples.user) }) == "/p/1")
        #expect(
            ResourceLocation(stringLiteral: "/p/").path(in: JSONWriter.document { $0.write(Samples.campaign, at: Samples.now) }) == "/p/4")
        #expect(orders.path(in: ByteBuffer(string: "{}")) == nil)
    }
}
