import GRDB

/// The result of one rule of the audit.
package struct AuditResult: Sendable, Equatable {
    /// The number of the invariant in the guide *Architecture*.
    package let invariant: Int
    /// The rule as a sentence.
    package let claim: String
    package let rowsChecked: Int64
    package let violationCount: Int64
    /// The first 100 violations: which row, and what is wrong with it.
    package let violations: [String]

    package var holds: Bool { violationCount == 0 }
}

/// A rule of the audit as two queries: one counts the rows that it covers, one finds the rows that break it.
struct AuditRule: Sendable {
    let invariant: Int
    let claim: String
    /// Gives the number of rows that the rule covers.
    let coverage: String
    /// Gives one text for each violation.
    let violations: String
}

extension Snapshot {
    /// Checks every rule that needs the store alone, and the chains of wins; calls `progress` before each rule and at the end, with the number of rules checked.
    package func audit(progress: (_ done: Int, _ of: Int) -> Void = { _, _ in }) throws(StoreError) -> [AuditResult] {
        var results: [AuditResult] = []
        let rules = db.sqlite == nil ? AuditRule.ofServers : AuditRule.all
        let count = rules.count + 1
        for rule in rules {
            progress(results.count, count)
            results.append(try check(rule))
        }
        progress(results.count, count)
        results.append(try auditChains())
        progress(results.count, count)
        return results
    }

    func check(_ rule: AuditRule) throws(StoreError) -> AuditResult {
        try reading { db in
            var count: Int64 = 0
            var first: [String] = []
            try db.forEach(rule.violations) { row in
                count += 1
                if first.count < 100 { first.append(row.text(0)) }
            }
            return AuditResult(
                invariant: rule.invariant, claim: rule.claim, rowsChecked: try db.integer(rule.coverage), violationCount: count,
                violations: first)
        }
    }
}
