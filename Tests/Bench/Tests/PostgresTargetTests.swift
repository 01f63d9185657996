import Foundation
import Testing

@testable import Bench

@Suite("The targets of a store on PostgreSQL")
struct PostgresTargetTests {
    @Test("payments are compared with the fastest pgbench of each round, its CPU too")
    func best() throws {
        // In the first round 16 clients are the fastest, in the second 64.
        let targets = try report([
            (.storePayment, [row(4_000, cpu: 300), row(4_000, cpu: 300)]),
            (.pgbenchPayment1, [row(500, cpu: 500), row(500, cpu: 500)]),
            (.pgbenchPayment16, [row(2_000, cpu: 600), row(1_000, cpu: 1_000)]),
            (.pgbenchPayment64, [row(1_000, cpu: 1_000), row(4_000, cpu: 1_000)]),
        ])
        // The rounds' ratios are 2 and 1, and of the CPU 0.5 and 0.3.
        #expect((targets[0].measured, targets[0].verdict) == (1.5, .met))
        #expect((targets[3].measured, targets[3].verdict) == (0.4, .met))
    }

    @Test("what follows a payment counts: its time in the rate, its CPU in the cost, and pgbench's own CPU in pgbench's cost")
    func whole() throws {
        var paid = row(1_000, cpu: 100)
        (paid.lateSeconds, paid.lateCPU) = (1, 50)
        var peer = row(250, cpu: 200)
        peer.generatorCPU = 100
        let targets = try report([
            (.storePayment, [paid]), (.pgbenchPayment1, [peer]), (.pgbenchPayment16, [peer]), (.pgbenchPayment64, [peer]),
        ])
        // 1,000 payments in 1 s and 1 s more, beside 250 in 1 s; 150 us beside 300 us.
        #expect((targets[0].measured, targets[0].verdict) == (2, .met))
        #expect((targets[3].measured, targets[3].verdict) == (0.5, .met))
    }

    @Test("wins are compared with the fastest pgbench, and one product with a thousand")
    func others() throws {
        let targets = try report([
            (.storePayment, [row(1_000, cpu: 1)]), (.storeHotPayment, [row(900, cpu: 1)]), (.storeWins, [row(6_000, cpu: 1)]),
            (.pgbenchWins1, [row(1, cpu: 1)]), (.pgbenchWins16, [row(1_000, cpu: 1)]), (.pgbenchWins64, [row(800, cpu: 1)]),
        ])
        #expect((targets[1].measured, targets[1].verdict) == (6, .exceeded))
        #expect((targets[2].measured, targets[2].verdict) == (0.9, .met))
    }

    @Test("without one of the numbers of clients, nothing is compared: it might have been the best")
    func missing() throws {
        let targets = try report([
            (.storePayment, [row(1_000, cpu: 1)]), (.pgbenchPayment1, [row(1, cpu: 1)]), (.pgbenchPayment64, [row(1, cpu: 1)]),
        ])
        #expect(targets.map(\.verdict) == [.notMeasured, .notMeasured, .notMeasured, .notMeasured])
    }

    @Test("the table shows the CPU of service and PostgreSQL apart")
    func table() throws {
        var paid = row(1_000, cpu: 300)
        (paid.databaseCPU, paid.groupSize, paid.lateSeconds) = (200, 31, 1)
        let text = made([(.storePayment, [paid]), (.pgbenchPayment16, [row(250, cpu: 700)])]).postgresTable.text
        let lines = text.split(separator: "\n").map { $0.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) } }
        #expect(lines[2][1...4] == ["1,000 (1,000..1,000)", "500", "100", "200"])
        #expect(lines[3][1...4] == ["250 (250..250)", "", "", "700"])
        #expect(lines[2][8] == "31.0")
    }

    private func row(_ perSecond: Int, cpu: Double) -> Sample {
        var sample = Sample(requests: perSecond, seconds: 1, cpu: cpu)
        sample.generatorCPU = 0
        return sample
    }

    private func report(_ rows: [(Row, [Sample])]) throws -> [TargetResult] {
        let targets = made(rows).postgresTargets
        try #require(targets.count == 4)
        return targets
    }

    private func made(_ rows: [(Row, [Sample])]) -> Report {
        var report = Report(startedAt: .now, isQuick: true, rounds: 1, only: nil, machine: .look(), versions: [:])
        report.findings.rows = rows.map { row, samples in
            let numbered = samples.enumerated().map { round, sample in
                var sample = sample
                sample.round = round + 1
                return sample
            }
            return Measured(row: row, peers: [], samples: numbered)
        }
        return report
    }
}
