/// What one round did and found.
package struct RoundReport: Sendable, CustomStringConvertible {
    package let fault: String
    package var counts = RequestCounts()
    /// From the end of the fault until the service was ready.
    package var recoveryTime: Duration = .zero
    /// Nil where the round did not measure it.
    package var firstSuccess: FirstSuccess?
    package var rowsAudited: Int64 = 0
    package var findings: [Finding] = []

    package var description: String {
        let verdict = findings.isEmpty ? "nothing lost, nothing doubled" : "\(findings.count) FINDINGS"
        return
            "\(fault): \(counts.answers) answers, \(counts.successes) successes (\(counts.won) claims won), "
            + "\(counts.unavailable) answered 429 or 503, \(counts.lostReplies) answers lost, "
            + (firstSuccess.map { "first success after \($0.time.milliseconds) ms\($0.isLate ? " (LATE)" : ""), " } ?? "")
            + "ready after \(recoveryTime.milliseconds) ms, \(rowsAudited) rows audited: \(verdict)"
    }
}

/// What a whole run did and found.
package struct TortureReport: Sendable {
    package let seed: UInt64
    package private(set) var rounds: [RoundReport] = []
    /// Faults that this machine does not allow, with the reason.
    package var skipped: [String: String] = [:]
    /// What the last comparison, of the customers of all rounds, found.
    package var atTheEnd: [Finding] = []

    package var isClean: Bool { atTheEnd.isEmpty && rounds.allSatisfy(\.findings.isEmpty) }
    package var findings: [Finding] { rounds.flatMap(\.findings) + atTheEnd }

    /// Rounds in which what the fault concerned worked again later than it may.
    package var late: [RoundReport] { rounds.filter { $0.firstSuccess?.isLate == true } }

    mutating func add(_ round: RoundReport) { rounds.append(round) }

    /// One line for each fault, with what was lost and doubled.
    package var table: String {
        let columns =
            ["fault", "rounds", "answers", "successes", "429 or 503", "no answer", "ready after"]
            + (measuresFirstSuccess ? ["first success: median", "longest", "limit"] : []) + ["lost", "doubled", "wrong"]
        var lines: [[String]] = [columns]
        let grouped = Dictionary(grouping: rounds, by: \.fault)
        for (fault, rounds) in grouped.sorted(by: { $0.key < $1.key }) { lines.append(line(fault, rounds)) }
        lines.append(line("all", rounds, and: atTheEnd))
        let widths = columns.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        let table = lines.map { line in
            "| "
                + line.enumerated().map { column, text in
                    let padding = String(repeating: " ", count: widths[column] - text.count)
                    return column == 0 ? text + padding : padding + text
                }.joined(separator: " | ") + " |"
        }
        let rule =
            "|"
            + widths.enumerated().map { String(repeating: "-", count: $0.element + 1) + ($0.offset == 0 ? "-" : ":") }.joined(
                separator: "|") + "|"
        return ([table[0], rule] + table.dropFirst()).joined(separator: "\n")
    }

    private var measuresFirstSuccess: Bool { rounds.contains { $0.firstSuccess != nil } }

    private func line(_ name: String, _ rounds: [RoundReport], and more: [Finding] = []) -> [String] {
        let counts = rounds.reduce(RequestCounts()) { $0 + $1.counts }
        let findings = rounds.flatMap(\.findings) + more
        let slowest = rounds.map(\.recoveryTime).max() ?? .zero
        return [
            name, "\(rounds.count)", "\(counts.answers)", "\(counts.successes)", "\(counts.unavailable)", "\(counts.lostReplies)",
            "\(slowest.milliseconds) ms",
        ] + (measuresFirstSuccess ? Self.firstSuccesses(rounds) : [])
            + Finding.Kind.allCases.map { kind in "\(findings.count { $0.kind == kind })" }
    }
}

extension TortureReport {
    /// Median, longest and limit; dashes where nothing was measured, or several things with limits of their own.
    private static func firstSuccesses(_ rounds: [RoundReport]) -> [String] {
        let all = rounds.compactMap(\.firstSuccess)
        let times = all.map(\.time).sorted()
        guard let longest = times.last, let limit = all.first?.limit, all.allSatisfy({ $0.limit == limit }) else { return ["-", "-", "-"] }
        return [times[times.count / 2], longest, limit].map { "\($0.milliseconds) ms" }
    }
}

extension Duration {
    var milliseconds: Int64 { components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000 }
}
