/// A request that is refused for what it is, before any business rule is asked.
struct RequestFault: Error {
    let problem: Problem

    init(_ problem: Problem) {
        self.problem = problem
    }

    /// One field that is not as it must be.
    init(field: String, _ reason: String) {
        problem = .invalid([FieldFault(field: field, reason: reason)])
    }
}
