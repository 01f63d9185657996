import Foundation
import Redis
import Services
import TestSupport
import Testing

/// Every script runs as its file stands, by hand: `redis-cli --eval lua/claim_coupon.lua 'coupon:{7}' 'coupon:{7}:claims' , STORE 42`.
@Suite("by hand with redis-cli", .redisServer, .serialized)
struct ByHandTests {
    /// One life of a gate and of a ranking, in this order, with what redis-cli prints; `*` stands for an instant.
    static let session: [(script: String, keys: [String], arguments: [String], printed: [String])] = {
        let sales = RecordSalesTests.keys
        let kept =
            [RedisKeys.rankingUnchanged, RedisKeys.store] + (0..<RankingDays.kept).flatMap { ["{sales}day\($0)", "{sales}staged\($0)"] }
        let expiry = "\(SalesKeys.expiry)"
        let days = (0..<RankingDays.kept).flatMap { _ in [expiry, "0"] }
        let store = Gate.store
        return [
            ("admit_store", [RedisKeys.store, RedisKeys.applied], [store, "0", "1"], ["1"]),
            ("admit_store", [RedisKeys.store, RedisKeys.applied], [Gate.otherStore, "0", "1"], ["2", store]),
            ("load_coupon", Gate.keys, ["1", "3", "0", "0", store], ["1"]),
            ("load_claims", Gate.keys, ["1", "1", "11"], ["1", "1"]),
            ("open_coupon", Gate.keys, ["1", "1"], ["1", "2"]),
            ("claim_coupon", Gate.keys, [store, "42"], ["1", "2", "*", "1"]),
            ("claim_coupon", Gate.keys, [store, "42"], ["2", "2", "*", "1"]),
            ("adjust_coupon", Gate.keys, ["2", "0", "0", store], ["1", "0"]),
            ("claim_coupon", Gate.keys, [store, "43"], ["3", "2", "*", "1"]),
            ("adjust_coupon", Gate.keys, ["3", "0", "0", store], ["1", "1"]),
            ("claim_coupon", Gate.keys, [store, "43", "42", "44"], ["1", "3", "*", "1", "2", "2", "*", "1", "3", "3", "*", "1"]),
            ("adjust_coupon", Gate.keys, ["4", "0", "0", store], ["1", "1"]),
            ("claim_coupon", Gate.keys, [store, "early", "45", "42"], ["1", "4", "*", "1", "2", "2", "*", "1"]),
            ("archive_coupon", Gate.keys, ["1"], ["1", "2"]),
            ("claim_coupon", Gate.keys, [store, "42"], ["7", "0", "*", "0"]),
            ("swap_sales", [RedisKeys.applied, RedisKeys.products] + kept, ["8", store] + days, ["1", "0"]),
            ("record_sales", sales, ["9", "9", expiry, store, "1", "2", "10", "2"], ["1", "9"]),
            ("record_views", [SalesKeys.views[0], RedisKeys.rankingUnchanged], [expiry, "1", "4"], ["1", "1"]),
            ("rank_products", RankProductsTests.keys, ["5", "60", "2000", "1000"], ["*", "1", "2", "4", "10", "2", "0"]),
            ("append_events", [RedisKeys.events, RedisKeys.lastEvent], ["", "1000", "9", "ORDER_PAID", "1", "{}", ""], ["1", "1"]),
            ("take_tokens", TakeTokensTests.keys, ["1000000", "5", "0", "0"], ["1", "1000000", "0"]),
        ]
    }()

    @Test("every script runs with redis-cli --eval and prints what its header says")
    func byHand() async throws {
        let redis = try await LuaServer.emptied()
        for step in Self.session {
            let file = ScriptFile.folder.appending(path: "\(step.script).lua").path
            let words = ["redis-cli", "-s", redis.process.socketPath, "--eval", file] + step.keys + [","] + step.arguments
            let printed = try await Tool.run(program: words).lines
            try #require(printed.count == step.printed.count, "\(step.script) printed \(printed)")
            for (line, expected) in zip(printed, step.printed) where expected != "*" {
                #expect(line == expected, "\(step.script) printed \(printed)")
            }
        }
        #expect(Set(Self.session.map(\.script)) == Set(Scripts.all.map(\.name)))
    }
}
