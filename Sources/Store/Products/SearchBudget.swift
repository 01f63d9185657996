/// What one page of products may cost. A page whose budget is spent ends early and says where the next one goes on.
struct SearchBudget {
    /// What costs, in units of about a quarter of a microsecond.
    enum Step: Int {
        /// An entry of the index of prices.
        case priceEntry = 1
        /// A product read in the order of the table.
        case nextProduct = 3
        /// A product found by its id.
        case product = 8
        /// A row of the index of names.
        case indexRow = 6
    }

    private var remaining: Int

    init(_ units: Int) {
        remaining = units
    }

    mutating func spend(_ step: Step) { remaining -= step.rawValue }

    var isSpent: Bool { remaining <= 0 }

    /// So many products can be looked at by their ids for a part of the budget.
    func products(forOneIn part: Int) -> Int { remaining / part / Step.product.rawValue }
}
