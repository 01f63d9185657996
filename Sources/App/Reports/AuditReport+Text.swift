import JSON
import NIOCore
package import Services

extension AuditReport {
    /// One line for each check with the rows it looked at, one for each violation that is named, and the sum of it all.
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
                "\(missing) of \(checks.count) checks found nothing in Redis: it is not the one that serves the store, or has lost it"
            )
        }
        if isClean { lines.append("every invariant holds") }
        return lines.joined(separator: "\n")
    }

    private func count(of verdict: Verdict) -> Int {
        checks.count { $0.verdict == verdict }
    }

    /// The same as one JSON object.
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
