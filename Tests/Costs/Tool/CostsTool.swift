import ArgumentParser
import Bench
import Foundation
import TestSupport

/// `make costs` and `make thresholds`: what one request costs the release build.
@main
struct CostsTool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "firstcome-costs", abstract: "Counts what one request costs on each hot route, and holds it against thresholds.",
        subcommands: [Measure.self, BareChannelCommand.self], defaultSubcommand: Measure.self)
}

/// The measurement itself.
struct Measure: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures and judges.",
        discussion: "Exits with 1 where a threshold is exceeded, or so far above what was measured that it has to be lowered.")

    @Option(help: "Only routes with this in their name, and the reference.")
    var only: String?

    @Option(help: "The file of the thresholds.")
    var thresholds: String

    @Flag(help: "Makes what is measured the thresholds instead of judging it.")
    var write = false

    func run() async throws {
        let routes = HotRoute.allCases.filter { route in only.map { route.rawValue.contains($0) } ?? true }
        guard !routes.isEmpty else { throw ValidationError("no route has \(only ?? "") in its name") }
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
