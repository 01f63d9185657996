import GRDB

/// What the audit found on one of the promises that the store makes.
package struct AuditResult: Sendable, Equatable {
    /// The number of the invariant in the design.
    package let invariant: Int
    /// The promise, as a sentence.
    package let claim: String
    package let rowsChecked: Int64
    package let violationCount: Int64
    /// The first 100 violations: which row, and what is wrong with it.
    package let violations: [String]

    package var holds: Bool { violationCount == 0 }
}

/// One promise as two queries: what it covers, and what breaks it.
struct AuditRule: Sendable {
    let invariant: Int
    let claim: String
    /// Gives the number of rows that the rule covers.
    let coverage: String
    /// Gives a text per violation.
    let violations: String
}

extension Snapshot {
    /// Checks every promise that the store can check alone; `progress` hears of each before it starts, from 0.
    package func audit(progress: (_ done: Int, _ of: Int) -> Void = { _, _ in }) throws(StoreError) -> [AuditResult] {
        var results: [AuditResult] = []
        for rule in AuditRule.all {
            progress(results.count, AuditRule.all.count)
            results.append(try check(rule))
        }
        progress(results.count, AuditRule.all.count)
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
