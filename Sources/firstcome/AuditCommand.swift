import ArgumentParser
import Commerce
import Foundation
import Glibc
import JSON
import NIOCore
import Services

/// `firstcome audit`: checks every invariant over store and Redis.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Checks every invariant over store and Redis, beside a running service or without one.",
        discussion: """
            Prints each check with the number of rows it looked at: ok, BROKEN, missing where Redis holds nothing of what the store has, or \
            no rows where the store has none either. Exits with 1 when a check is broken or missing.

            The Redis has to be the one that serves the store: without --redis, the private one of the folder, and a folder whose service \
            used another one is refused. A Redis that serves another store, or the store as it was before a restore, is refused too.
            """)

    @OptionGroup var data: DataOption
    @OptionGroup var redis: RedisOption
    @OptionGroup var timeZone: TimeZoneOption

    @Flag(help: "Prints one JSON object instead of a table.")
    var json = false

    func run() async throws {
        let report = try await Workbench.use(data: data, redis: redis, timeZone: timeZone) { bench in
            let progress = TerminalProgress()
            defer { progress.end() }
            let audit = Audit(store: bench.store, redis: bench.redis, calendar: bench.calendar, clock: .system)
            return try await audit.run { progress.show("checking \($0)") }
        }
        print(json ? Self.json(report) : Self.table(report))
        if !report.isClean { throw ExitCode(1) }
    }

    static func table(_ report: AuditReport) -> String {
        var lines: [String] = []
        for check in report.checks {
            lines.append(
                "\(check.invariant)  \(pad(check.verdict.rawValue, 8))\(pad(String(check.rowsChecked), 10, toRight: true)) rows  \(check.claim)"
            )
            lines += check.violations.map { "       - \($0)" }
            let unnamed = check.violationCount - Int64(check.violations.count)
            if unnamed > 0 { lines.append("       - and \(unnamed) more") }
        }
        let (broken, missing) = (count(of: .broken, in: report), count(of: .missing, in: report))
        if broken > 0 { lines.append("\(broken) of \(report.checks.count) checks are broken") }
        if missing > 0 {
            lines.append(
                "\(missing) of \(report.checks.count) checks found nothing in Redis: it is not the one that serves the store, or has lost it"
            )
        }
        if report.isClean { lines.append("every invariant holds") }
        return lines.joined(separator: "\n")
    }

    private static func count(of verdict: AuditReport.Verdict, in report: AuditReport) -> Int {
        report.checks.count { $0.verdict == verdict }
    }

    static func json(_ report: AuditReport) -> String {
        var json = JSONWriter()
        json.beginObject()
        json.member("clean", report.isClean)
        json.beginArray("checks")
        for check in report.checks {
            json.beginObject()
            json.member("invariant", Int64(check.invariant))
            json.member("claim", check.claim)
            json.member("verdict", check.verdict.rawValue)
            json.member("rowsChecked", check.rowsChecked)
            json.member("violationCount", check.violationCount)
            json.beginArray("violations")
            for violation in check.violations { json.element(violation) }
            json.endArray()
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return String(buffer: json.buffer)
    }

    private static func pad(_ text: String, _ width: Int, toRight: Bool = false) -> String {
        let space = String(repeating: " ", count: max(0, width - text.count))
        return toRight ? space + text : text + space
    }
}

/// One line on the terminal that is written over again and again; nothing where standard error is no terminal.
struct TerminalProgress: Sendable {
    private let isTerminal = isatty(STDERR_FILENO) == 1

    func show(_ text: String) { write("\r\u{1B}[2K\(text)") }

    func end() { write("\r\u{1B}[2K") }

    private func write(_ text: String) {
        if isTerminal { FileHandle.standardError.write(Data(text.utf8)) }
    }
}
