import Foundation
import TestSupport
import Testing

@testable import Bench
@testable import LoadGenerator

@Suite("RESULTS.md")
struct ResultsTests {
    @Test("a whole report has its run, its machine, and each section with tables whose rows have as many cells as the header")
    func whole() throws {
        let text = report().markdown
        #expect(
            headings(text) == [
                "# Benchmark results", "## Targets", "## Requests", "### Firstcome", "### Peers", "### Beside the peers",
                "## Store on PostgreSQL", "## Several services",
                "## Open loop", "## Growth", "## Memory", "## Flash sale", "## Recovery and audit",
            ])
        for part in ["2026-11-20 03:00:00 UTC", "2 rounds", "Some Processor", "| 7.0.15 ", "make bench QUICK=1"] {
            #expect(text.contains(part), "\(part) in \(text)")
        }
        let tables = tables(text)
        #expect(tables.count == 13)
        for table in tables {
            #expect(table.count > 2 && Set(table.map { $0.split(separator: "|").count }).count == 1, "\(table.joined(separator: "\n"))")
        }
        #expect(text.contains("| claim, sold out") && text.contains("| webdis, sold out"))
        #expect(text.contains("exceeded") && !text.contains("not measured"))
    }

    @Test("a picture is shown exactly where it is drawn")
    func pictures() {
        let report = report()
        let links = report.markdown.matches(of: /!\[[^\]]+\]\(([a-z-]+)\.svg\)/).map { String($0.1) }
        #expect(links.sorted() == report.pictures.map(\.name).sorted())
        #expect(links.count == 6)
    }

    @Test("what was not measured is left out")
    func partOnly() {
        var report = report()
        report.findings = Findings()
        report.findings.operations = [TimedOperation(name: "an audit", limit: 10, seconds: [1, 3])]
        report.targets = report.judgedTargets()
        #expect(headings(report.markdown) == ["# Benchmark results", "## Targets", "## Recovery and audit"])
        #expect(!report.markdown.contains(".svg)"))
    }

    @Test("failures are named")
    func failures() {
        var report = report()
        report.findings.problems = ["growth: no disk"]
        #expect(report.markdown.contains("## Failures\n\n- growth: no disk\n"))
    }

    @Test("the file and the pictures are written into the folder")
    func drawn() async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let paths = try await report().draw(into: folder.path + "/new")
        #expect(paths.count == 7)
        #expect(try String(contentsOfFile: folder.path + "/new/RESULTS.md", encoding: .utf8) == report().markdown)
    }

    private func headings(_ text: String) -> [String] { text.split(separator: "\n").filter { $0.hasPrefix("#") }.map(String.init) }

    private func tables(_ text: String) -> [[String]] {
        text.components(separatedBy: "\n\n").filter { $0.hasPrefix("|") }.map { $0.split(separator: "\n").map(String.init) }
    }
}

// MARK: - A report with something of everything

private func report() -> Report {
    let machine = Machine(processor: "Some Processor", cores: 2, kernel: "6.1.0", memoryMegabytes: 8_000, loadBefore: 0.1)
    var report = Report(
        startedAt: Date(timeIntervalSince1970: 1_795_143_600), isQuick: true, rounds: 2, only: nil, machine: machine,
        versions: ["redis": "Redis server v=7.0.15 sha=0"])
    report.seconds = 271
    report.findings.rows = [
        measured(.claimSoldOut, cpu: 8, peers: [.webdisSoldOut]), measured(.webdisSoldOut, cpu: 20), measured(.payment, cpu: 40),
        measured(.storePayment, cpu: 300), measured(.onePayment, cpu: 300), measured(.threePayments, cpu: 310, peers: [.onePayment]),
    ]
    report.findings.idle = [IdleUse(name: IdleUse.severalServices, seconds: 20, services: 1, redis: 1, database: 0.5)]
    report.findings.memory = [MemoryPoint(moment: .afterWins, count: 60_000, service: 62 << 20, redis: 9 << 20)]
    var curve = OpenLoopCurve(title: "claims that win", maximum: 10_000)
    curve.points = [0.25, 0.5].map { OpenLoopPoint(share: $0, expected: 201, result: openLoopResult($0)) }
    report.findings.openLoop = [curve]
    let points = [1, 1_000].map { GrowthPoint(size: $0, samples: [sample(1, cpu: 8), sample(2, cpu: 8)]) }
    report.findings.growth = [GrowthResult(title: "claim refused, many campaigns", unit: "campaigns", points: points)]
    let seconds = (1...3).map {
        FlashSaleSecond(second: $0, perSecond: 30_000, cpu: 20, redisCPU: 4, won: 5_000, refused: 25_000, p99Below: 5_000)
    }
    report.findings.flashSale = FlashSaleResult(users: 60_000, coupons: 15_000, command: "", whole: sample(1, cpu: 20), seconds: seconds)
    report.findings.operations = [TimedOperation(name: "an audit", limit: 10, seconds: [1, 2])]
    report.targets = report.judgedTargets()
    return report
}

private func measured(_ row: Row, cpu: Double, peers: [Row] = []) -> Measured {
    Measured(row: row, peers: peers, samples: [sample(1, cpu: cpu), sample(2, cpu: cpu)])
}

private func sample(_ round: Int, cpu: Double) -> Sample {
    var sample = Sample(requests: 1_000, seconds: 1, cpu: cpu)
    (sample.round, sample.p50, sample.p99) = (round, 400, 1_500)
    return sample
}

private func openLoopResult(_ share: Double) -> OpenLoopResult {
    let latency = Percentiles(p50: 300, p90: 800, p99: 4_000, p999: 9_000, max: 12_000)
    return OpenLoopResult(
        askedRate: share * 10_000, achievedRate: share * 10_000, due: 100, sent: 100, answered: 100, statuses: [201: 100], errors: .init(),
        latency: latency, generator: .init(lateness: Percentiles(), cpuShare: 0.2))
}
