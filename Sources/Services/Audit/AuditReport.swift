/// The result of an audit.
package struct AuditReport: Sendable {
    /// One check of one invariant.
    package struct Check: Sendable {
        /// The number of the invariant, 1 to 9 (guide *Architecture*).
        package let invariant: Int
        /// The rule that was checked, as a sentence.
        package let claim: String
        /// How many rows were checked. A check of no rows proves nothing; its verdict is `noRows` or `missing`.
        package let rowsChecked: Int64
        package let violationCount: Int64
        /// Whether the store has rows that the check should have seen in Redis.
        package let expectsRows: Bool
        /// The first violations, at most 100; each names its row.
        package let violations: [String]

        package init(
            invariant: Int, claim: String, rowsChecked: Int64, expectsRows: Bool = false, violationCount: Int64, violations: [String]
        ) {
            self.invariant = invariant
            self.claim = claim
            self.rowsChecked = rowsChecked
            self.expectsRows = expectsRows
            self.violationCount = violationCount
            self.violations = violations
        }

        package var verdict: Verdict {
            if violationCount > 0 { return .broken }
            if rowsChecked > 0 { return .holds }
            return expectsRows ? .missing : .noRows
        }
    }

    /// The verdict of a check.
    package enum Verdict: String, Sendable {
        case holds = "ok"
        /// There was nothing to check.
        case noRows = "no rows"
        /// The store has rows, and Redis has nothing to compare them with.
        case missing = "missing"
        case broken = "BROKEN"

        package var isClean: Bool { self == .holds || self == .noRows }
    }

    package let checks: [Check]

    package var isClean: Bool { checks.allSatisfy(\.verdict.isClean) }
}
