import Commerce
import GRDB

/// The search for one page of products on a server: it examines a bounded number of products in the order of the list, which the server
/// filters.
struct ProductScan {
    private let filter: ProductFilter
    private let limit: Int
    private let text: String
    private let prices: ClosedRange<Int64>
    /// The key of the last product of the page before; nil for the first page.
    private let start: [Int64]?

    /// The most products that a page examines.
    private static let mostExamined = 5_000

    init(_ filter: ProductFilter, _ page: PageRequest) throws {
        (self.filter, limit) = (filter, page.limit)
        text = filter.nameContains.map(ProductName.folded) ?? ""
        let (least, most) = (filter.minPrice?.rawValue ?? 0, filter.maxPrice?.rawValue ?? .max)
        // A range that ends before it begins becomes 0...0, in which there is no product: prices are positive.
        prices = least <= most ? least...most : 0...0
        start = try page.cursor.map { try Cursor($0, list: filter.sort.list).key }
    }

    func page(_ db: QueryConnection) throws -> Page<Product> {
        var items: [Product] = []
        var examined = 0
        var last: Product?
        // Each product that is examined comes back, with a mark whether it passes, so that the page knows where it ended.
        try db.forEach(query, first, second, Self.mostExamined, text, filter.inStockOnly ? 1 : 0, prices.lowerBound, prices.upperBound) {
            row in
            examined += 1
            guard items.count <= limit else { return }
            let product = Database.product(row)
            last = product
            if row.bool(6) { items.append(product) }
        }
        if items.count > limit {
            items.removeLast(items.count - limit)
            return Page(items: items, nextCursor: items.last.map(cursor))
        }
        return Page(items: items, nextCursor: examined == Self.mostExamined ? last.map(cursor) : nil)
    }

    private func cursor(_ product: Product) -> String { filter.sort.cursor(product.price.rawValue, product.id.rawValue).text }

    private var first: Int64 {
        switch filter.sort {
        case .newest: start?[0] ?? .max
        case .priceAscending: start?[0] ?? -1
        case .priceDescending: start?[0] ?? .max
        }
    }

    private var second: Int64 {
        switch filter.sort {
        case .newest: 0
        case .priceAscending: start?[1] ?? -1
        case .priceDescending: start?[1] ?? .max
        }
    }

    private var query: String {
        let (condition, order) =
            switch filter.sort {
            case .newest: ("id < ?1 AND ?2 = 0", "id DESC")
            case .priceAscending: ("(price, id) > (?1, ?2) AND price BETWEEN ?6 AND ?7", "price, id")
            case .priceDescending: ("(price, id) < (?1, ?2) AND price BETWEEN ?6 AND ?7", "price DESC, id DESC")
            }
        return """
            SELECT \(Database.productColumns), (?4 = '' OR strpos(name_folded, ?4) > 0) AND (?5 = 0 OR stock > held)
                AND price BETWEEN ?6 AND ?7
            FROM (SELECT \(Database.productColumns), name_folded FROM products WHERE \(condition) ORDER BY \(order) LIMIT ?3) examined
            ORDER BY \(order)
            """
    }
}
