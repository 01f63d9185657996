import BenchPlots
import Foundation

/// The report as `RESULTS.md`: Markdown tables, with the pictures as links to the SVG files beside it.
extension Report {
    /// The whole document, without sections that were not measured.
    package var markdown: String {
        var sections = ["# Benchmark results", origin, environmentTable]
        if !problems.isEmpty { sections += ["## Failures", problems.map { "- \($0)" }.joined(separator: "\n")] }
        sections +=
            targetSection + requestSection + postgresSection + servicesSection + openLoopSection + overloadSection + growthSection
            + memorySection
            + flashSaleSection
            + operationSection
        return sections.joined(separator: "\n\n") + "\n"
    }

    /// Writes `RESULTS.md` and its pictures into the folder, and returns their paths.
    package func draw(into folder: String) async throws -> [String] {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let results = folder + "/RESULTS.md"
        try Data(markdown.utf8).write(to: URL(fileURLWithPath: results), options: .atomic)
        var paths = [results]
        for picture in pictures {
            let path = "\(folder)/\(picture.name).svg"
            try await picture.plot.writeSVG(to: path)
            paths.append(path)
        }
        return paths
    }
}

// MARK: - The run and its machine

extension Report {
    private var origin: String {
        let date = startedAt.formatted(.iso8601.dateTimeSeparator(.space).timeZoneSeparator(.omitted))
        let command = isQuick ? "make bench QUICK=1" : "make bench"
        let extent = only.map { "Only parts and rows with `\($0)` in their name were measured." } ?? "Every part was measured."
        let duration = Duration.seconds(seconds.rounded()).formatted(.time(pattern: .minuteSecond))
        return """
            `firstcome-bench draw` writes this file and its pictures from the JSON file of a run.

            The run: \(date.replacingOccurrences(of: "Z", with: " UTC")), `\(command)`, \(rounds) rounds, \(duration) minutes. \(extent)\
            \(isQuick ? " A quick run has short rounds, and few: its figures vary more than those of a whole run." : "")
            """
    }

    private var environmentTable: String {
        var table = Table(["Environment", ""])
        let rows = [
            ("Processor", machine.processor), ("Cores", String(machine.cores)), ("Memory", "\(machine.memoryMegabytes) MB"),
            ("Linux", machine.kernel), ("Load average before the run", Figure.short(machine.loadBefore)),
        ]
        for (name, value) in rows + plainVersions where !value.isEmpty {
            table.add([name, value])
        }
        return table.text
    }

    /// The versions without the other words that programs print; a build of the service is named by its commit.
    private var plainVersions: [(String, String)] {
        versions.sorted { $0.key < $1.key }.map { name, text in
            let number = name == "firstcome" ? nil : text.firstMatch(of: /\d+\.\d+[^\s,)]*/)
            return (name, number.map { String($0.0) } ?? text)
        }
    }
}

// MARK: - Sections

extension Report {
    private func section(_ title: String, _ note: String, pictures names: [String] = [], _ tables: [String]) -> [String] {
        let links = pictures.filter { names.contains($0.name) }.map { "![\($0.title)](\($0.name).svg)" }
        return ["## \(title)", note] + links + tables
    }

    private var targetSection: [String] {
        let judged = targets.filter { $0.verdict != .notMeasured }
        guard !judged.isEmpty else { return [] }
        let note = "An exceeded target met its stretch limit too. Ratios (x) are medians of the ratios of single rounds."
        return section("Targets", note, [judged.table(Figure.short).text])
    }

    private var requestSection: [String] {
        guard !findings.rows.isEmpty else { return [] }
        let note = """
            Medians of all rounds, in parentheses the least and the greatest. Server CPU is user and system time of the server's processes \
            for one request; rows that are compared are measured in alternation.
            """
        let (own, peers) = (requestTable { !$0.isPeer }, requestTable { $0.isPeer })
        var tables = own.isEmpty ? [] : ["### Firstcome", own.text]
        if !peers.isEmpty { tables += ["### Peers", peers.text] }
        let ratios = ratioTable
        if !ratios.isEmpty { tables += ["### Beside the peers", "Ratios of the same round, as medians.", ratios.text] }
        return section("Requests", note, pictures: ["cost", "money"], tables)
    }

    private func requestTable(where isWanted: (Row) -> Bool) -> Table {
        var table = Table(
            ["Request", "requests/s", "server CPU, µs", "in user mode, µs", "Redis CPU, µs", "p50, ms", "p99, ms", "p99.9, ms"],
            numeric: 1...7)
        for measured in findings.rows where isWanted(measured.row) {
            let latencies = [measured.spread(\.p50), measured.spread(\.p99), measured.spread(\.p999)]
            table.add(
                [
                    measured.row.rawValue + (measured.problems.isEmpty ? "" : " (failed)"),
                    Figure.spread(measured.spread(\.perSecond), Figure.count), Figure.spread(measured.spread(\.cpu), Figure.short),
                    measured.spread(\.userCPU).map { Figure.short($0.median) } ?? "",
                    measured.spread(\.redisCPU).map { Figure.short($0.median) } ?? "",
                ] + latencies.map { $0.map { Figure.milliseconds($0.median) } ?? "" })
        }
        return table
    }

    private var ratioTable: Table {
        var table = Table(["Request", "peer", "x requests/s", "x server CPU"], numeric: 2...3)
        for measured in findings.rows {
            for peer in measured.peers {
                guard let rate = ratio(measured.row, to: peer, of: \.perSecond), let cpu = ratio(measured.row, to: peer, of: \.cpu) else {
                    continue
                }
                table.add([measured.row.rawValue, peer.rawValue, Figure.short(rate.median), Figure.short(cpu.median)])
            }
        }
        return table
    }

    private var postgresSection: [String] {
        guard hasPostgresRows else { return [] }
        let note = """
            The service with its store on PostgreSQL, and pgbench with one call of a PL/pgSQL function for each payment or claim on a copy \
            of that store on the same server. What follows a payment is its event and the ranking. CPU is in microseconds for one request.
            """
        return section("Store on PostgreSQL", note, [postgresTable.text])
    }

    private var servicesSection: [String] {
        guard hasServicesRows || findings.idle != nil else { return [] }
        let note = """
            One service on one Redis, and three services on one Redis Cluster of three primaries, each with a replica. Each of the two has \
            a PostgreSQL of its own. Both get the same requests on as many connections. Redis CPU is that of all nodes. CPU is in \
            microseconds for one request, and in percent of one core where there are no requests.
            """
        return section(
            "Several services", note, (hasServicesRows ? [servicesTable.text] : []) + (findings.idle == nil ? [] : [idleTable.text]))
    }

    private var openLoopSection: [String] {
        guard !findings.openLoop.isEmpty else { return [] }
        let note = """
            Requests come at a fixed rate, a share of the greatest rate of a closed loop. Latency counts from when a request was due, so a \
            server that stalls is charged for every request it delays.
            """
        return section("Open loop", note, pictures: ["open-loop"], [openLoopTable])
    }

    private var overloadSection: [String] {
        guard !findings.overload.isEmpty else { return [] }
        let note = """
            Checkouts, claims that win, reads by key and lists at a fixed rate, with and without `--shed-after`. 100 % is what a closed loop \
            with 256 connections reached just before. Latencies are those after the first seconds, in which the queue does not stand yet.
            """
        return section("Overload", note, [overloadTable])
    }

    private var growthSection: [String] {
        guard !findings.growth.isEmpty else { return [] }
        let note = "The same requests on stores of different sizes, measured in alternation."
        return section("Growth", note, pictures: ["growth", "memory"], [growthTable])
    }

    private var memorySection: [String] {
        guard !findings.memory.isEmpty else { return [] }
        var table = Table(["Moment", "claims", "service, MB", "Redis, MB"], numeric: 1...3)
        for point in findings.memory {
            let sizes = [point.service, point.redis].map { Figure.short(Double($0) / 1_048_576) }
            table.add([point.moment.rawValue, Figure.count(Double(point.count))] + sizes)
        }
        return section("Memory", "Resident memory of the service and `used_memory` of Redis while claims are measured.", [table.text])
    }

    private var flashSaleSection: [String] {
        guard let sale = findings.flashSale else { return [] }
        let note = """
            \(Figure.count(Double(sale.users))) users ask for \(Figure.count(Double(sale.coupons))) coupons; p99 is the bound of the \
            service's histogram below which 99 % of a second's requests stayed.
            """
        return section("Flash sale", note, pictures: ["flash-sale"], [sale.table])
    }

    private var operationSection: [String] {
        guard !findings.operations.isEmpty else { return [] }
        return section("Recovery and audit", "Rare operations on full stores.", [operationTable])
    }
}
