/// Why a request is refused as malformed, before any business rule is checked.
struct RequestFault: Error {
    let problem: Problem

    init(_ problem: Problem) {
        self.problem = problem
    }

    /// Names one invalid field.
    init(field: String, _ reason: String) {
        problem = .invalid([FieldFault(field: field, reason: reason)])
    }
}
