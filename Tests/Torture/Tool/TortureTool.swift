import ArgumentParser
import Foundation
import TestSupport
import Torture

/// `make torture`: breaks the service in every way it knows and looks whether anything was lost or doubled.
@main
struct TortureTool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "torture",
        abstract: "Breaks the service in every way it knows while hundreds of people shop, and looks whether anything was lost or doubled.",
        discussion: "Exits with 1 when something was. The same seed makes the same choices; the moments at which they meet differ.")

    @Option(help: "Decides every choice; printed at the start.")
    var seed = UInt64.random(in: 1...999_999_999)

    @Option(help: "How many faults, one in each round.")
    var rounds = 50

    @Option(help: "Only faults whose name contains this.")
    var only: String?

    @Option(help: "Connections to the service.")
    var connections = 240

    @Flag(help: "Tells each step of each round.")
    var verbose = false

    @Flag(help: "Prints the faults and ends.")
    var list = false

    func run() async throws {
        if list { return print(Fault.all.map(\.name).joined(separator: "\n")) }
        var torture = TortureRun(seed: seed, rounds: rounds)
        torture.connections = connections
        torture.narrate = { line in FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
        if verbose {
            torture.narrateStep = { [narrate = torture.narrate] in
                narrate("    \(Date.now.formatted(.iso8601.time(includingFractionalSeconds: true)))  \($0)")
            }
        }
        if let only { torture.faults = Fault.all.filter { $0.name.contains(only) } }
        guard !torture.faults.isEmpty else { throw ValidationError("no fault has \(only ?? "") in its name") }
        let report = try await untilSignalled { [torture] in try await torture.run() }
        torture.narrate("\n\(report.table)")
        for (fault, obstacle) in report.skipped.sorted(by: { $0.key < $1.key }) { torture.narrate("left out: \(fault), since \(obstacle)") }
        torture.narrate(
            "SEED=\(seed) ROUNDS=\(rounds): \(report.isClean ? "nothing lost, nothing twice" : "\(report.findings.count) findings")")
        if !report.isClean { throw ExitCode(1) }
    }
}
