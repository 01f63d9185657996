import Foundation
import Testing

@testable import Bench

@Suite("The targets of refused claims")
struct RefusedClaimTargetTests {
    @Test("user time is compared with the bare channel's, all CPU with nginx's and webdis's, two loops with one")
    func judged() throws {
        let targets = report([
            (.claimSoldOut, 10, 4), (.claimSoldOutTwoLoops, 10.8, 4), (.bareChannel, 20, 2), (.nginxClaim, 8, 1), (.webdisSoldOut, 25, 5),
        ]).judgedTargets().filter { $0.name == Row.claimSoldOut.rawValue }
        func measured(_ measure: String) throws -> TargetResult { try #require(targets.first { $0.measure == measure }) }
        let user = try measured("user-mode CPU, x a bare channel")
        #expect((user.measured, user.verdict) == (2, .met))
        let nginx = try measured("server CPU, x nginx return 200")
        #expect((nginx.measured, nginx.verdict) == (1.25, .met))
        let webdis = try measured("server CPU, x webdis")
        #expect((webdis.measured, webdis.verdict) == (0.4, .exceeded))
        let loops = try measured("server CPU with 2 loops, x with 1")
        #expect((loops.measured, loops.verdict) == (1.08, .met))
    }

    @Test("where user time was not measured separately, as in files of earlier runs, its target is not measured")
    func withoutUserTime() throws {
        let targets = report([(.claimAlready, 10, nil), (.bareChannel, 20, 2)]).judgedTargets()
        let target = try #require(targets.first { $0.name == Row.claimAlready.rawValue && $0.measure == "user-mode CPU, x a bare channel" })
        #expect(target.verdict == .notMeasured)
    }

    @Test("the bare channel's answer is an HTTP answer of 250 bytes")
    func answer() throws {
        let parts = BareChannel.answer.components(separatedBy: "\r\n\r\n")
        #expect(BareChannel.answer.utf8.count == 250)
        #expect(parts.count == 2 && parts[0].hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(parts[0].contains("Content-Length: \(parts[1].utf8.count)"))
    }

    private func report(_ rows: [(row: Row, cpu: Double, user: Double?)]) -> Report {
        var report = Report(startedAt: .now, isQuick: true, rounds: 1, only: nil, machine: .look(), versions: [:])
        report.findings.rows = rows.map { row, cpu, user in
            var sample = Sample(requests: 1, seconds: 1, cpu: cpu)
            (sample.round, sample.userCPU) = (1, user)
            return Measured(row: row, peers: [], samples: [sample])
        }
        return report
    }
}
