/// What an audit found.
package struct AuditReport: Sendable {
    /// One check of one invariant.
    package struct Check: Sendable {
        /// The number of the invariant in the design, 1 to 8.
        package let invariant: Int
        /// What must be true, as a sentence.
        package let claim: String
        /// How many rows were looked at: a check that saw none proves nothing, and says so.
        package let rowsChecked: Int64
        package let violationCount: Int64
        /// The first violations, each naming its row.
        package let violations: [String]

        package init(invariant: Int, claim: String, rowsChecked: Int64, violationCount: Int64, violations: [String]) {
            self.invariant = invariant
            self.claim = claim
            self.rowsChecked = rowsChecked
            self.violationCount = violationCount
            self.violations = violations
        }
    }

    package let checks: [Check]

    package var isClean: Bool { checks.allSatisfy { $0.violationCount == 0 } }
}
