import Foundation

/// A run of the whole benchmark: one part after the other, then the report.
package struct Bench: Sendable {
    /// Every part, in the order in which they run. A further part is a further entry.
    static let parts: [any BenchPart] = [ClaimRows(), ReadRows(), MoneyRows(), FlashSale(), OpenLoopPart(), Growth()]

    private let settings: BenchSettings
    private let progress = Progress()

    package init(_ settings: BenchSettings) { self.settings = settings }

    /// Whether there is anything to measure.
    package var isEmpty: Bool { !Self.parts.contains { $0.isWanted(settings) } }

    package static var partTitles: [String] { parts.map(\.title) }

    /// Runs the parts that are wanted. One that fails is a problem of the report and keeps no other from running.
    package func run() async throws -> Report {
        let began = ContinuousClock.now
        var report = Report(
            startedAt: .now, isQuick: settings.isQuick, rounds: settings.rounds, only: settings.only, machine: .look(),
            versions: await Versions.all())
        for part in Self.parts where part.isWanted(settings) {
            progress.tell("== \(part.title)")
            do {
                let wanted = settings.wants(part.title) ? settings.withAllRows() : settings
                report.findings.add(try await part.run(wanted, progress))
            } catch {
                try Task.checkCancellation()
                progress.tell("\(part.title) FAILED: \(error)")
                report.findings.problems.append("\(part.title): \(error)")
            }
        }
        report.marks = report.judgedMarks()
        report.seconds = began.duration(to: .now) / .seconds(1)
        return report
    }

    /// Writes the JSON file, draws the pictures and gives what is printed.
    package func finish(_ report: Report, folder: String) async throws -> String {
        let path = try report.write(to: folder)
        progress.tell("wrote \(path)")
        for picture in try await report.draw(into: folder) { progress.tell("drew \(picture)") }
        let machine = report.machine
        let sections = [
            "\(machine.processor), \(machine.cores) cores, \(machine.memoryMegabytes) MB, Linux \(machine.kernel); load before \(machine.loadBefore)",
            report.versions.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: "; "),
            "\(report.rounds) rounds in \(Int(report.seconds)) s; median (least..greatest)\(report.isQuick ? "; QUICK" : "")",
            report.rowTable,
        ]
        let sale = report.findings.flashSale.map { ["### A flash sale: \($0.coupons) coupons, \($0.users) people", $0.table] } ?? []
        let growth = report.findings.growth.isEmpty ? [] : ["### Growth", report.growthTable]
        let openLoop = report.findings.openLoop.isEmpty ? [] : ["### At a fixed rate", report.openLoopTable]
        let marks = ["### The marks", report.markTable]
        let problems = report.problems.isEmpty ? [] : ["### FAILED", report.problems.map { "- \($0)" }.joined(separator: "\n")]
        return (sections + sale + openLoop + growth + marks + problems).joined(separator: "\n\n")
    }
}
