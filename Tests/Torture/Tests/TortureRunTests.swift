import Foundation
import GRDB
import TestSupport
import Testing

@testable import Torture

/// A short run of the torture, and the defects that it must notice.
@Suite("The torture", .serialized)
struct TortureRunTests {
    private static func torture(rounds: Int) -> TortureRun {
        var torture = TortureRun(seed: TestSettings.seed, rounds: rounds)
        (torture.shoppers, torture.connections, torture.shopping) = (100, 140, 200...500)
        torture.leastSuccesses = 120
        return torture
    }

    @Test("faults of every kind while customers shop: nothing is lost and nothing doubled")
    func short() async throws {
        var torture = Self.torture(rounds: 12)
        torture.faults = [
            "service: SIGKILL", "SIGKILL afterScript", "SIGKILL beforeCommit", "SIGKILL afterCommit", "SIGKILL afterRecordSales",
            "Redis: SIGKILL", "Redis: older snapshot", "Redis: FLUSHALL", "Redis: failover, lagging", "proxy: connection cut",
            "disk full", "platform: takes and forgets",
        ].compactMap { name in Fault.all.first { $0.name == name } }
        #expect(torture.faults.count == 12)
        let report = try await torture.run()
        #expect(report.findings == [], "SEED=\(report.seed)\n\(report.table)")
        #expect(report.rounds.allSatisfy { $0.counts.successes > 100 && $0.rowsAudited > 1_000 }, "\(report.table)")
    }

    @Test("faults of three services on PostgreSQL while customers shop: nothing is lost and nothing doubled")
    func several() async throws {
        var torture = TortureRun(seed: TestSettings.seed, rounds: 3, services: 3)
        (torture.shoppers, torture.shopping, torture.leastSuccesses) = (30, 200...500, 60)
        let names = ["one service cut off from PostgreSQL", "PostgreSQL: SIGKILL, promotion", "Redis primary: SIGKILL"]
        torture.faults.removeAll { !names.contains($0.name) }
        #expect(torture.faults.count == names.count)
        let report = try await torture.run()
        #expect(report.findings == [], "SEED=\(report.seed)\n\(report.table)")
        #expect(report.rounds.allSatisfy { $0.counts.successes >= 60 && $0.rowsAudited > 500 }, "\(report.table)")
    }

    @Test("every fault has a name of its own", arguments: [Fault.all, Fault.ofSeveral])
    func names(faults: [Fault]) { #expect(Set(faults.map(\.name)).count == faults.count) }

    /// A change to store or Redis behind the service's back, and the findings that it must lead to.
    struct Harm: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var sql = ""
        /// A script for Redis.
        var lua = ""
        /// Kind and part of the text of a finding that has to be there.
        let expected: [(Finding.Kind, String)]

        static let all = [
            Harm(
                testDescription: "a coupon row is deleted",
                sql: "DELETE FROM issued_coupons WHERE id = (SELECT max(id) FROM issued_coupons WHERE state = 0)",
                expected: [(.lost, "was shown"), (.wrong, "audit, invariant 1")]),
            Harm(
                testDescription: "a balance is off by one", sql: "UPDATE users SET balance = balance + 1 WHERE id = 5",
                expected: [(.wrong, "user 5: the balance is"), (.wrong, "audit, invariant 4")]),
            Harm(
                testDescription: "a charge is gone",
                sql: """
                    CREATE TEMP TABLE gone AS SELECT id, amount, user_id FROM transfers WHERE kind = 0 ORDER BY id DESC LIMIT 1;
                    DELETE FROM transfers WHERE id IN (SELECT id FROM gone);
                    """,
                expected: [(.lost, ": the charge of"), (.wrong, "audit, invariant 4")]),
            Harm(
                testDescription: "a score is off by one",
                // The score of a product that was sold. An additional product on a day would be noticed and repaired.
                lua: """
                    for _, day in ipairs(redis.call('KEYS', 'ranking:{sales}:2*')) do
                        for _, product in ipairs(redis.call('ZRANGE', day, -1, -1)) do redis.call('ZINCRBY', day, 1, product) end
                    end
                    """,
                expected: [(.doubled, "has score"), (.wrong, "audit, invariant 7")]),
            Harm(
                testDescription: "an event is gone",
                sql: """
                    DELETE FROM event_units WHERE event_id = (SELECT min(id) + 2 FROM events);
                    DELETE FROM events WHERE id = (SELECT min(id) + 2 FROM events);
                    """,
                expected: [(.wrong, "audit, invariant 8"), (.wrong, "audit, invariant 5")]),
            Harm(
                testDescription: "stock is off by one", sql: "UPDATE products SET stock = stock + 1 WHERE id = 7",
                expected: [(.wrong, "product 7 has stock")]),
            Harm(
                testDescription: "a paid order is pending again",
                sql: "UPDATE orders SET status = 0, expires_at = 9e15 WHERE id = (SELECT min(id) FROM orders WHERE status = 1)",
                expected: [(.wrong, "is still pending"), (.wrong, "audit, invariant 6")]),
        ]
    }

    @Test("damage to store or Redis is found by the torture and by the audit", arguments: Harm.all)
    func noticed(harm: Harm) async throws {
        let environment = try await Environment.start(random: SeededGenerator(), connections: 80)
        do {
            var torture = Self.torture(rounds: 1)
            torture.shoppers = 40
            try await environment.waitUntilReady()
            try await environment.renew(customers: 80)
            var configuration = Configuration()
            configuration.foreignKeysEnabled = false
            let store = try DatabaseQueue(path: environment.dataFolder + "/store.sqlite", configuration: configuration)
            repeat {
                let round = try await Round(fault: Fault("none", inject: { _ in }), torture: torture, environment: environment).run()
                #expect(round.findings == [] && round.rowsAudited > 500)
                // On a busy machine few orders are paid in one round.
            } while try await store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM events") ?? 0 } < 10
            try await store.write { try $0.execute(sql: harm.sql) }
            if !harm.lua.isEmpty { try await environment.command("EVAL", harm.lua, "0") }
            // Until the leases of cached values have expired, which this change does not invalidate.
            try await Task.sleep(for: .seconds(1))
            // The damage does not repair itself, so a long wait is of no use.
            _ = try await Verification(environment: environment, customers: environment.customers, patience: .seconds(2)).run()
            let findings = environment.findings.take()
            for (kind, text) in harm.expected {
                #expect(findings.contains { $0.kind == kind && $0.text.contains(text) }, "\(kind) \(text) is not among \(findings)")
            }
        } catch {
            await environment.end()
            throw error
        }
        await environment.end()
    }
}
