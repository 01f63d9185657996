package import Commerce
import GRDB

extension Store {
    /// Products that pass a filter, in its order. Equal prices are ordered by id, in the direction of the prices.
    package func products(_ filter: ProductFilter, page: PageRequest) async throws(StoreError) -> Page<Product> {
        try await read(.browse) { db in
            let query = try ProductQuery(filter, page: page)
            let rows = try db.all(query.sql, list: query.arguments, read: Database.product)
            let items = Array(rows.prefix(page.limit))
            guard rows.count > page.limit, let last = items.last else { return Page(items: items, nextCursor: nil) }
            return Page(items: items, nextCursor: filter.sort.cursor(after: last).text)
        }
    }
}

/// The SQL of one page of products.
private struct ProductQuery {
    private(set) var conditions: [String] = []
    private(set) var arguments: [any StatementBinding] = []
    private let order: String

    init(_ filter: ProductFilter, page: PageRequest) throws {
        order = filter.sort.order
        if let part = filter.nameContains { add("instr(name_folded, ?) > 0", [ProductName.folded(part)]) }
        if let least = filter.minPrice { add("price >= ?", [least]) }
        if let most = filter.maxPrice { add("price <= ?", [most]) }
        if filter.inStockOnly { add("stock > held", []) }
        if let cursor = page.cursor {
            let key = try Cursor(cursor, list: filter.sort.list, keyLength: filter.sort.keyLength).key
            add(filter.sort.continuation, key)
        }
        arguments.append(page.limit + 1)
    }

    private mutating func add(_ condition: String, _ values: [any StatementBinding]) {
        conditions.append(condition)
        arguments += values
    }

    var sql: String {
        let filter = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        return "SELECT \(Database.productColumns) FROM products \(filter) ORDER BY \(order) LIMIT ?"
    }
}

extension ProductFilter.Sort {
    fileprivate var list: String { "products-\(self)" }

    fileprivate var order: String {
        switch self {
        case .newest: "id DESC"
        case .priceAscending: "price, id"
        case .priceDescending: "price DESC, id DESC"
        }
    }

    /// What comes after the last item's key.
    fileprivate var continuation: String {
        switch self {
        case .newest: "id < ?"
        case .priceAscending: "(price, id) > (?, ?)"
        case .priceDescending: "(price, id) < (?, ?)"
        }
    }

    fileprivate var keyLength: Int {
        switch self {
        case .newest: 1
        case .priceAscending, .priceDescending: 2
        }
    }

    fileprivate func cursor(after last: Product) -> Cursor {
        switch self {
        case .newest: Cursor(list: list, key: [last.id.rawValue])
        case .priceAscending, .priceDescending: Cursor(list: list, key: [last.price.rawValue, last.id.rawValue])
        }
    }
}
