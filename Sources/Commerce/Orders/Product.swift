/// A product on sale.
package struct Product: Sendable, Equatable {
    package let id: ProductID
    package let name: String
    package let price: Won
    /// Units on hand, including those that pending orders hold.
    package let stock: Int64
    /// Units that pending orders hold.
    package let held: Int64
    package let createdAt: Instant

    /// Units that can still be ordered now; the API calls them `stock`.
    package var available: Int64 { stock - held }

    package init(id: ProductID, name: String, price: Won, stock: Int64, held: Int64, createdAt: Instant) {
        (self.id, self.name, self.price, self.stock, self.held, self.createdAt) = (id, name, price, stock, held, createdAt)
    }
}

/// Which products a list shows and in which order.
package struct ProductFilter: Sendable, Hashable {
    /// The order of a list; raw values as in `Sources/API/openapi.json`.
    package enum Sort: String, Sendable, CaseIterable {
        case newest
        case priceAscending = "price"
        case priceDescending = "-price"
    }

    /// A part of the name, compared without regard to case or Unicode normalization form.
    package var nameContains: String?
    package var minPrice: Won?
    package var maxPrice: Won?
    package var inStockOnly: Bool
    package var sort: Sort

    package init(nameContains: String? = nil, minPrice: Won? = nil, maxPrice: Won? = nil, inStockOnly: Bool = false, sort: Sort = .newest) {
        self.nameContains = nameContains
        self.minPrice = minPrice
        self.maxPrice = maxPrice
        self.inStockOnly = inStockOnly
        self.sort = sort
    }
}
