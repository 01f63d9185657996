import ArgumentParser
import Bench
import Foundation
import TestSupport

/// `make costs` and `make thresholds`: what one request costs the release build.
@main
struct CostsTool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "firstcome-costs", abstract: "Counts what one request costs on each hot route, and compares it with thresholds.",
        subcommands: [Measure.self, BareChannelCommand.self], defaultSubcommand: Measure.self)
}

/// The measurement itself.
struct Measure: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures the routes and compares them with the thresholds.",
        discussion: "Exits with 1 where a threshold is exceeded, or is so far above the measurement that it must be lowered.")

    @Option(help: "Only routes whose name contains this, and the reference.")
    var only: String?

    @Option(help: "The file of the thresholds.")
    var thresholds: String

    @Flag(help: "Write the measurements as the new thresholds instead of comparing them.")
    var write = false

    func run() async throws {
        let routes = HotRoute.allCases.filter { route in only.map { route.rawValue.contains($0) } ?? true }
        guard !routes.isEmpty else { throw ValidationError("no route's name contains \(only ?? "")") }
        var limits = try Thresholds.read(thresholds)
        let run = CostRun(routes: routes, thresholds: write ? Thresholds() : limits)
        let result: CostRun.Result
        do {
            result = try await untilSignalled { try await run.measure() }
        } catch is CancellationError {
            throw ExitCode(130)
        }
        if write {
            limits.take(result)
            try limits.write(thresholds)
        }
        let report = CostReport(result: result, thresholds: limits)
        print(report.text)
        guard !report.problems.isEmpty else { return }
        print("\nFAILED\n\n" + report.problems.map { "- \($0)" }.joined(separator: "\n"))
        throw ExitCode(1)
    }
}
