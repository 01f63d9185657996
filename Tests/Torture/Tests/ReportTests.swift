import TestSupport
import Testing

@testable import Torture

@Suite("What the torture measures")
struct ReportTests {
    @Test("the table has the median and the longest first success with their limit, and a late one is named")
    func firstSuccess() {
        var report = TortureReport(seed: 1)
        for time in [900, 1_500, 100] {
            var round = RoundReport(fault: "a")
            round.firstSuccess = FirstSuccess(time: .milliseconds(time), limit: .seconds(1))
            report.add(round)
        }
        report.add(RoundReport(fault: "b"))
        let lines = report.table.split(separator: "\n")
        #expect(lines[2].contains("|                900 ms | 1500 ms | 1000 ms |"), "\(report.table)")
        #expect(lines[3].contains("|                     - |       - |       - |"), "\(report.table)")
        #expect(report.late.map(\.firstSuccess?.time) == [.milliseconds(1_500)])
        #expect(report.isClean)
        var single = TortureReport(seed: 1)
        single.add(RoundReport(fault: "b"))
        #expect(!single.table.contains("first success"), "nothing was measured")
    }

    @Test("requests go to every service, one that failed is repeated elsewhere, and a service whose connection broke gets none for a while")
    func balancer() {
        let pools = (1...3).map { HTTPPool(port: $0, maximumConnections: 1) }
        let balancer = Balancer(pools, random: SeededGenerator(seed: 7))
        func services(besides last: Int? = nil) -> Set<Int> {
            Set((0..<200).map { _ in balancer.place(Caller(pool: pools[0]), besides: last).service })
        }
        #expect(services() == [0, 1, 2])
        #expect(services(besides: 1) == [0, 2])
        balancer.noteFailure(of: 2)
        #expect(services() == [0, 1])
        #expect(services(besides: 1) == [0])
        for service in 0..<3 { balancer.noteFailure(of: service) }
        #expect(services() == [0, 1, 2], "where all have failed, all are asked")
        #expect(Balancer([pools[0]], random: SeededGenerator(seed: 7)).place(Caller(pool: pools[0]), besides: 0).service == 0)
    }
}
