import Foundation
import Testing

@testable import Bench

@Suite("The targets of several services")
struct ServicesTargetTests {
    @Test("a payment costs the CPU of services and PostgreSQL, with that of events and ranking, as the median of the rounds' ratios")
    func payment() throws {
        var (alone, together) = (row(1_000, cpu: 200), row(10, cpu: 150))
        (alone.databaseCPU, together.databaseCPU) = (100, 20)
        (alone.lateCPU, together.lateCPU) = (20, 70)
        // 220 beside 220 us, and 330 beside 220.
        let targets = try report([(.onePayment, [alone, alone]), (.threePayments, [together, row(10, cpu: 330)])])
        #expect((targets[0].measured, targets[0].verdict) == (1.25, .missed))
    }

    @Test("refused claims are counted for the CPU time of services and Redis, without PostgreSQL's")
    func refused() throws {
        var (alone, together) = (row(1, cpu: 8), row(2, cpu: 16))
        (alone.redisCPU, alone.databaseCPU) = (2, 0)
        (together.redisCPU, together.databaseCPU) = (1.5, 5)
        #expect(alone.perSecondOfCPU == 100_000)
        // 10 us beside 12.5 us.
        let targets = try report([(.oneRefused, [alone]), (.threeRefused, [together])])
        #expect((targets[1].measured, targets[1].verdict) == (0.8, .missed))
    }

    @Test("nothing is divided by a CPU time that was too short to be seen")
    func nothing() throws {
        #expect(row(1, cpu: 0).perSecondOfCPU == nil)
    }

    @Test("wins are compared by their rate")
    func wins() throws {
        let targets = try report([(.oneWins, [row(10_000, cpu: 1)]), (.threeWins, [row(9_000, cpu: 9)])])
        #expect((targets[2].measured, targets[2].verdict) == (0.9, .met))
    }

    @Test("without requests only the three services count, with their Redis and PostgreSQL")
    func idle() throws {
        let alone = IdleUse(name: "one service", seconds: 20, services: 50, redis: 0, database: 0)
        let together = IdleUse(name: IdleUse.severalServices, seconds: 20, services: 0.5, redis: 0.75, database: 0.25)
        let targets = try report([], idle: [alone, together])
        #expect((targets[3].measured, targets[3].verdict) == (1.5, .met))
        #expect(try report([], idle: [alone])[3].verdict == .notMeasured)
        #expect(try report([]).map(\.verdict) == [.notMeasured, .notMeasured, .notMeasured, .notMeasured])
    }

    @Test("the table shows what each server uses apart")
    func table() {
        var report = made([])
        report.findings.idle = [IdleUse(name: "3 services", seconds: 20, services: 0.5, redis: 0.75, database: 0.25)]
        let lines = report.idleTable.text.split(separator: "\n").map { line in
            line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
        #expect(lines[2] == ["3 services", "1.50", "0.50", "0.75", "0.25", "20.0"])
    }

    @Test("the file of a run from before it was measured can be read")
    func earlier() throws {
        let text = String(decoding: try JSONEncoder().encode(Findings()), as: UTF8.self)
        #expect(!text.contains("idle"))
        #expect(try JSONDecoder().decode(Findings.self, from: Data(text.utf8)).idle == nil)
    }

    private func row(_ perSecond: Int, cpu: Double) -> Sample { Sample(requests: perSecond, seconds: 1, cpu: cpu) }

    private func report(_ rows: [(Row, [Sample])], idle: [IdleUse]? = nil) throws -> [TargetResult] {
        var report = made(rows)
        report.findings.idle = idle
        let targets = report.servicesTargets
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
