import ArgumentParser
import Foundation
import TestSupport
import Torture

/// `make torture`: injects faults while customers shop, and checks whether anything was lost or doubled.
@main
struct TortureTool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "torture",
        abstract: "Injects faults while hundreds of customers shop, and checks whether anything was lost or doubled.",
        discussion: "Exits with 1 when something was. The same seed makes the same choices, but their timing differs from run to run.")

    @Option(help: "The seed of every random choice; printed at the start.")
    var seed = UInt64.random(in: 1...999_999_999)

    @Option(help: "How many rounds; each injects one fault.")
    var rounds = 50

    @Option(help: "How many services: one on SQLite, or several on PostgreSQL.")
    var services = 1

    @Option(help: "Inject only faults whose name contains this.")
    var only: String?

    @Option(help: "Connections to the services; by default 240 to one, and 60 to several together.")
    var connections: Int?

    @Flag(help: "Print each step of each round.")
    var verbose = false

    @Flag(help: "Print the names of the faults and exit.")
    var list = false

    func run() async throws {
        if list { return print(TortureRun.faults(ofServices: services).map(\.name).joined(separator: "\n")) }
        var torture = TortureRun(seed: seed, rounds: rounds, services: services)
        if let connections { torture.connections = connections }
        torture.printLine = { line in FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
        if verbose {
            torture.printStep = { [printLine = torture.printLine] in
                printLine("    \(Date.now.formatted(.iso8601.time(includingFractionalSeconds: true)))  \($0)")
            }
        }
        if let only { torture.faults.removeAll { !$0.name.contains(only) } }
        guard !torture.faults.isEmpty else { throw ValidationError("no fault's name contains \(only ?? "")") }
        let report = try await untilSignalled { [torture] in try await torture.run() }
        torture.printLine("\n\(report.table)")
        for (fault, obstacle) in report.skipped.sorted(by: { $0.key < $1.key }) { torture.printLine("skipped: \(fault): \(obstacle)") }
        for round in report.late { torture.printLine("late: \(round)") }
        torture.printLine(
            "SEED=\(seed) ROUNDS=\(rounds) SERVICES=\(services): \(report.isClean ? "nothing lost, nothing doubled" : "\(report.findings.count) findings")"
        )
        if !report.isClean || !report.late.isEmpty { throw ExitCode(1) }
    }
}
