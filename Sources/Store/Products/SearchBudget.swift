/// The most that one page of products may cost. When it is spent, the page ends early with a cursor for the next one.
struct SearchBudget {
    /// The cost of each kind of step, in units of about a quarter of a microsecond.
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

    /// How many products can be read by id for one `part`th of the rest of the budget.
    func products(forOneIn part: Int) -> Int { remaining / part / Step.product.rawValue }
}
