import API
import JSON
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Every refusal that the API document names can be met, as a problem with its code", .sharedService, .everyEngine)
    struct RefusalTests {}
}

extension EndToEnd.RefusalTests {
    private static let standardMembers = ["type", "title", "status", "detail", "code"]

    @Test("a refusal is a problem document with status, code, and the members that the API document names", arguments: RefusalCase.all)
    func refusal(_ refusal: RefusalCase) async throws {
        let answer = try await refusal.request(try service)
        #expect(answer.status == refusal.status && answer.code == refusal.code, "\(answer.status) \(answer.text)")
        guard case .object(let problem) = try answer.json() else { throw HTTPAnswer.NotAsExpected(description: answer.text) }
        #expect(problem["status"]?.int == Int64(refusal.status))
        for member in Self.standardMembers { #expect(problem[member] != nil, "\(member)") }
        let extra = problem.members.filter { !Self.standardMembers.contains($0.name) }
        #expect(Dictionary(uniqueKeysWithValues: extra.map { ($0.name, $0.value.shape) }) == refusal.members)
        #expect(answer[header: "cache-control"] == "no-store")
        if refusal.code == "COUPON_NOT_OPEN" { #expect((answer[header: "retry-after"].flatMap(Int.init) ?? 0) > 0) }
    }

    @Test("the refusal cases reach every documented refusal of each route, and no other")
    func completeness() {
        var reached: [String: Set<String>] = [:]
        for refusal in RefusalCase.all { reached[refusal.route, default: []].insert(refusal.code) }
        #expect(reached == ContractRefusals.table)
    }

    @Test("every code that the service has is met by one of these tests")
    func everyCode() {
        let elsewhere: [ProblemCode] = [
            // In AnyRouteTests.
            .invalidRequest, .unauthenticated, .forbidden, .notFound, .methodNotAllowed, .payloadTooLarge, .unsupportedMediaType,
            .headersTooLarge,
            .expectationFailed, .notImplemented,
            // In IdempotencyTests.
            .idempotencyKeyInUse, .idempotencyKeyReused,
            // In OutageTests.
            .tooManyRequests, .temporarilyUnavailable, .internal,
            // In HTTPServerTests, with short timeouts.
            .requestTimeout,
        ]
        #expect(Set(RefusalCase.all.map(\.code)).union(elsewhere.map(\.rawValue)) == Set(ProblemCode.allCases.map(\.rawValue)))
    }

    @Test("each reason why a coupon cannot be used is reached on both routes that use one")
    func reasons() {
        for route in ["POST /orders", "POST /checkout"] {
            let reasons = Set(
                RefusalCase.all.filter { $0.route == route && $0.code == "COUPON_NOT_USABLE" }.compactMap { $0.members["reason"] })
            #expect(reasons == ["NOT_YOURS", "USED", "HELD", "EXPIRED", "BELOW_MINIMUM"])
        }
    }
}
