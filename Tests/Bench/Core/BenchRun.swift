import Foundation

/// A run of the whole benchmark: one part after the other, then the report.
package struct BenchRun: Sendable {
    /// Every part, in the order in which they run.
    static let parts: [any BenchPart] = [
        ClaimRows(), ReadRows(), MoneyRows(), PostgresRows(), ServicesRows(), FlashSale(), OpenLoopPart(), OverloadPart(), Growth(),
        RecoveryAndAudit(),
    ]

    private let settings: BenchSettings
    private let progress = Progress()

    package init(_ settings: BenchSettings) { self.settings = settings }

    /// Whether there is anything to measure.
    package var isEmpty: Bool { !Self.parts.contains { $0.isWanted(settings) } }

    package static var partTitles: [String] { parts.map(\.title) }

    /// Runs the selected parts. A part that fails is a problem of the report, and the others still run.
    ///
    /// - Parameter folder: where the JSON file goes, written again after each part so that a run that is stopped keeps its results; then
    ///   `RESULTS.md` and the pictures.
    package func run(folder: String) async throws -> Report {
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
            report.targets = report.judgedTargets()
            report.seconds = began.duration(to: .now) / .seconds(1)
            progress.tell("wrote \(try report.write(to: folder))")
        }
        for file in try await report.draw(into: folder) { progress.tell("wrote \(file)") }
        return report
    }

    /// The report as it is printed.
    package static func text(_ report: Report) -> String {
        let machine = report.machine
        let head = [
            "\(machine.processor), \(machine.cores) cores, \(machine.memoryMegabytes) MB, Linux \(machine.kernel); "
                + "load before: \(machine.loadBefore)",
            report.versions.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: "; "),
            "\(report.rounds) rounds in \(Int(report.seconds)) s; median (least..greatest)\(report.isQuick ? "; QUICK" : "")",
        ]
        let findings = report.findings
        var sections = head
        func add(_ title: String?, _ text: String, when isThere: Bool) {
            if isThere { sections += [title.map { "### \($0)" }, text].compactMap(\.self) }
        }
        add(nil, report.rowTable, when: !findings.rows.isEmpty)
        add("Store on PostgreSQL", report.postgresTable.text, when: report.hasPostgresRows)
        add("Several services", report.servicesTable.text, when: report.hasServicesRows)
        add("Without requests", report.idleTable.text, when: findings.idle != nil)
        if let sale = findings.flashSale { add("A flash sale: \(sale.coupons) coupons, \(sale.users) users", sale.table, when: true) }
        add("At a fixed rate", report.openLoopTable, when: !findings.openLoop.isEmpty)
        add("Overload", report.overloadTable, when: !findings.overload.isEmpty)
        add("Growth", report.growthTable, when: !findings.growth.isEmpty)
        add("Recovery and audit", report.operationTable, when: !findings.operations.isEmpty)
        add("Targets", report.targets.table(Figure.short).text, when: true)
        add("FAILED", report.problems.map { "- \($0)" }.joined(separator: "\n"), when: !report.problems.isEmpty)
        return sections.joined(separator: "\n\n")
    }
}
