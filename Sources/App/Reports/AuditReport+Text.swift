import JSON
import NIOCore
package import Services

extension AuditReport {
    /// The report as text: one line for each check with its rows, one for each listed violation, and a summary.
    package var table: String {
        var lines: [String] = []
        for check in checks {
            lines.append(
                "\(check.invariant)  \(Self.pad(check.verdict.rawValue, 8))\(Self.pad(String(check.rowsChecked), 10, toRight: true)) rows  \(check.claim)"
            )
            lines += check.violations.map { "       - \($0)" }
            let unnamed = check.violationCount - Int64(check.violations.count)
            if unnamed > 0 { lines.append("       - and \(unnamed) more") }
        }
        let (broken, missing) = (count(of: .broken), count(of: .missing))
        if broken > 0 { lines.append("\(broken) of \(checks.count) checks are broken") }
        if missing > 0 {
            lines.append(
                "\(missing) of \(checks.count) checks found nothing in Redis: it does not serve this store, or it has lost its data"
            )
        }
        if isClean { lines.append("every invariant holds") }
        return lines.joined(separator: "\n")
    }

    private func count(of verdict: Verdict) -> Int {
        checks.count { $0.verdict == verdict }
    }

    /// The report as one JSON object.
    package var json: String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("clean", isClean)
        writer.beginArray("checks")
        for check in checks {
            writer.beginObject()
            writer.member("invariant", Int64(check.invariant))
            writer.member("claim", check.claim)
            writer.member("verdict", check.verdict.rawValue)
            writer.member("rowsChecked", check.rowsChecked)
            writer.member("violationCount", check.violationCount)
            writer.beginArray("violations")
            for violation in check.violations { writer.element(violation) }
            writer.endArray()
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return String(buffer: writer.buffer)
    }

    private static func pad(_ text: String, _ width: Int, toRight: Bool = false) -> String {
        let space = String(repeating: " ", count: max(0, width - text.count))
        return toRight ? space + text : text + space
    }
}
