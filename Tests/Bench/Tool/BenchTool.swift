import ArgumentParser
import Bench
import Foundation
import TestSupport

/// `make bench`: measures the service and its peers.
@main
struct BenchTool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "firstcome-bench",
        abstract: "Measures the service and its peers, prints tables and writes all numbers as JSON.",
        subcommands: [Run.self, Draw.self, Bare.self, BareChannelCommand.self], defaultSubcommand: Run.self)
}

/// The benchmark itself.
struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the benchmark.", discussion: "Exits with 1 when a part failed or a row gave unexpected answers.")

    @Flag(help: "Measure less: ends within 5 minutes on two cores.")
    var quick = false

    @Option(help: "How often each row is measured.")
    var rounds: Int?

    @Option(help: "Only parts and rows whose name contains this, and the peers they are compared with.")
    var only: String?

    @Option(help: "The firstcome executable of an earlier build, to compare winning claims with.")
    var before: String?

    @Option(help: "The folder for the JSON file, RESULTS.md and the pictures. Default: .bench, or .bench/quick with --quick or --only.")
    var output: String?

    @Flag(help: "Print the names of the parts and exit.")
    var list = false

    func validate() throws {
        if let before, !FileManager.default.isExecutableFile(atPath: before) {
            throw ValidationError("--before \(before) is no executable")
        }
        if let rounds, rounds < 1 { throw ValidationError("--rounds takes 1 or more") }
    }

    func run() async throws {
        if list { return print(BenchRun.partTitles.joined(separator: "\n")) }
        let executable = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let bench = BenchRun(BenchSettings(isQuick: quick, rounds: rounds, only: only, executable: executable, before: before))
        guard !bench.isEmpty else { throw ValidationError("no part's or row's name contains \(only ?? "")") }
        let folder = output ?? (quick || only != nil ? ".bench/quick" : ".bench")
        let report: Report
        do {
            report = try await untilSignalled { try await bench.run(folder: folder) }
        } catch is CancellationError {
            FileHandle.standardError.write(Data("stopped; the results of the finished parts are in \(folder)\n".utf8))
            throw ExitCode(130)
        }
        print(BenchRun.text(report))
        if !report.problems.isEmpty { throw ExitCode(1) }
    }
}

/// Writes RESULTS.md and the pictures from the JSON file of an earlier run.
struct Draw: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the tables of a run's JSON file again; writes RESULTS.md and the pictures as SVG.")

    @Argument(help: "The JSON file of a run.")
    var file = ".bench/latest.json"

    @Option(help: "The folder for RESULTS.md and the pictures.")
    var output = ".bench"

    func run() async throws {
        let report = try Report.read(file)
        print(BenchRun.text(report))
        for file in try await report.draw(into: output) { FileHandle.standardError.write(Data("wrote \(file)\n".utf8)) }
    }
}

/// A peer of the read rows, in a process of its own.
struct Bare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bare-server", abstract: "Serves one fixed answer on SwiftNIO alone.", shouldDisplay: false)

    @Option(help: "The port to listen on.")
    var port: Int

    func run() async throws { try await BareServer.serve(port: port) }
}
