package import Commerce
import GRDB

extension TransactionalStore {
    /// Products that pass a filter, in its order. Equal prices are ordered by id, in the direction of the prices.
    ///
    /// A page examines a bounded number of products. Where few of many pass, it may be short or empty and still have a next cursor.
    package func products(_ filter: ProductFilter, page: PageRequest) async throws(StoreError) -> Page<Product> {
        try await read(.browse) { [budget = options.searchBudget] db in
            guard let sqlite = db.sqlite else { return try ProductScan(filter, page).page(db) }
            var search = try ProductSearch(filter, page, SearchBudget(budget))
            return try search.page(sqlite)
        }
    }
}

/// The search for one page of products.
///
/// Where only few products can pass, by the index of names or that of prices, they are read and sorted. Otherwise the search walks
/// through the products in the order of the list and examines each.
private struct ProductSearch {
    private let filter: ProductFilter
    private let limit: Int
    /// The text that the folded name has to contain; empty where any name passes.
    private let text: String
    /// The page starts behind this place; nil for the first page.
    private let start: Place?
    private let prices: ClosedRange<Int64>
    private var candidates: NameCandidates?
    private var budget: SearchBudget
    private var items: [Product] = []

    /// A place in the order of a list.
    private struct Place: Comparable {
        let price: Int64
        let id: Int64

        static func < (left: Place, right: Place) -> Bool { (left.price, left.id) < (right.price, right.id) }
    }

    /// Why a page ends.
    private enum End {
        case limit
        case list
        /// The budget is spent; everything up to this place was examined.
        case budget(Place)
    }

    init(_ filter: ProductFilter, _ page: PageRequest, _ budget: SearchBudget) throws {
        self.filter = filter
        self.budget = budget
        limit = page.limit
        text = filter.nameContains.map(ProductName.folded) ?? ""
        if !text.isEmpty { candidates = NameCandidates(NamePart.needed(toFind: text)) }
        let (least, most) = (filter.minPrice?.rawValue ?? 0, filter.maxPrice?.rawValue ?? .max)
        // A range that ends before it begins becomes 0...0, in which there is no product: prices are positive.
        prices = least <= most ? least...most : 0...0
        start = try page.cursor.map { text in
            let key = try Cursor(text, list: filter.sort.list).key
            return key.count == 1 ? Place(price: 0, id: key[0]) : Place(price: key[0], id: key[1])
        }
    }

    mutating func page(_ db: Database) throws -> Page<Product> {
        let end =
            switch filter.sort {
            case .newest: try newest(db)
            case .priceAscending, .priceDescending: try byPrice(db)
            }
        if items.count > limit {
            items.removeLast(items.count - limit)
            return Page(items: items, nextCursor: items.last.map { filter.sort.cursor($0.price.rawValue, $0.id.rawValue).text })
        }
        guard case .budget(let place) = end else { return Page(items: items, nextCursor: nil) }
        return Page(items: items, nextCursor: filter.sort.cursor(place.price, place.id).text)
    }
}

// MARK: - Newest first

extension ProductSearch {
    private mutating func newest(_ db: Database) throws -> End {
        if filter.minPrice != nil || filter.maxPrice != nil, let ids = try idsOfFewPrices(db) { return try collect(ids, db) }
        let first = min(start.map { $0.id - ($0.id == .min ? 0 : 1) } ?? .max, try db.integer("SELECT max(id) FROM products"))
        guard first >= 0 else { return .list }
        return candidates == nil ? try walkTable(from: first, db) : try walkNames(from: first, db)
    }

    /// The products in the range of prices; nil where there are too many to examine all.
    private func idsOfFewPrices(_ db: Database) throws -> [Int64]? {
        let most = budget.products(forOneIn: 2)
        let ids = try db.all(
            "SELECT id FROM products INDEXED BY products_by_price WHERE price BETWEEN ? AND ? LIMIT ?", prices.lowerBound,
            prices.upperBound, most + 1
        ) { $0.int(0) }
        return ids.count <= most ? ids : nil
    }

    private mutating func walkTable(from first: Int64, _ db: Database) throws -> End {
        var end = End.list
        try db.walk("SELECT \(Database.productColumns) FROM products WHERE id <= ? ORDER BY id DESC", first) { row in
            budget.spend(.nextProduct)
            take(row)
            if items.count > limit {
                end = .limit
            } else if budget.isSpent {
                end = .budget(Place(price: 0, id: row.int(0)))
            } else {
                return true
            }
            return false
        }
        return end
    }

    private mutating func walkNames(from first: Int64, _ db: Database) throws -> End {
        var bound = first + 1
        for chunk in stride(from: NameIndex.chunk(of: first), through: 0, by: -1) {
            let start = chunk << NameIndex.placeBits
            var end: End?
            if let places = try candidates?.chunk(chunk, db, &budget) {
                try places.descending(below: Int(bound - start)) { place in
                    let id = start + Int64(place)
                    try examine(id, db)
                    if items.count > limit { end = .limit } else if budget.isSpent { end = .budget(Place(price: 0, id: id)) }
                    return end == nil
                }
            }
            if let end { return end }
            if budget.isSpent, chunk > 0 { return .budget(Place(price: 0, id: start)) }
            bound = start
        }
        return .list
    }
}

// MARK: - By price

extension ProductSearch {
    private mutating func byPrice(_ db: Database) throws -> End {
        if let ids = try idsOfFewNames(db) { return try collect(ids, db) }
        var end = End.list
        let step = { (search: inout ProductSearch, row: Columns) throws -> Bool in
            let place = Place(price: row.int(0), id: row.int(1))
            search.budget.spend(.priceEntry)
            if try search.candidates?.contains(place.id, db, &search.budget) ?? true { try search.examine(place.id, db) }
            if search.items.count > search.limit {
                end = .limit
            } else if search.budget.isSpent {
                end = .budget(place)
            } else {
                return true
            }
            return false
        }
        if filter.sort == .priceAscending {
            let after = max(start ?? Place(price: .min, id: .min), Place(price: prices.lowerBound, id: .min))
            try db.walk(
                """
                SELECT price, id FROM products INDEXED BY products_by_price WHERE (price, id) > (?, ?) AND price <= ? ORDER BY price, id
                """, after.price, after.id, prices.upperBound
            ) { try step(&self, $0) }
        } else {
            let after = min(start ?? Place(price: .max, id: .max), Place(price: prices.upperBound, id: .max))
            try db.walk(
                """
                SELECT price, id FROM products INDEXED BY products_by_price WHERE (price, id) < (?, ?) AND price >= ?
                ORDER BY price DESC, id DESC
                """, after.price, after.id, prices.lowerBound
            ) { try step(&self, $0) }
        }
        return end
    }

    /// The products that can have the text in their names; nil where there are too many to examine all.
    private mutating func idsOfFewNames(_ db: Database) throws -> [Int64]? {
        guard candidates != nil else { return nil }
        let most = budget.products(forOneIn: 2)
        var ids: [Int64] = []
        for chunk in stride(from: NameIndex.chunk(of: try db.integer("SELECT max(id) FROM products")), through: 0, by: -1) {
            guard let places = try candidates?.chunk(chunk, db, &budget) else { continue }
            guard ids.count + places.count <= most, !budget.isSpent else { return nil }
            places.descending(below: NameIndex.placesInChunk) { place in
                ids.append(chunk << NameIndex.placeBits + Int64(place))
                return true
            }
        }
        return ids
    }
}

// MARK: - Products

extension ProductSearch {
    /// Makes the page from these products alone.
    private mutating func collect(_ ids: [Int64], _ db: Database) throws -> End {
        let isNewest = filter.sort == .newest
        var places: [Place] = []
        for id in ids {
            try withProduct(id, db) { row in
                let place = Place(price: isNewest ? 0 : row.int(2), id: id)
                if isBehindStart(place), passes(row) { places.append(place) }
            }
        }
        places.sort()
        if filter.sort != .priceAscending { places.reverse() }
        for place in places.prefix(limit + 1) { try examine(place.id, db) }
        return .list
    }

    private func isBehindStart(_ place: Place) -> Bool {
        guard let start else { return true }
        return filter.sort == .priceAscending ? place > start : place < start
    }

    /// Appends a product to the page where it passes the filter.
    private mutating func examine(_ id: Int64, _ db: Database) throws {
        budget.spend(.product)
        let product = try withProduct(id, db) { passes($0) ? Database.product($0) : nil } ?? nil
        if let product { items.append(product) }
    }

    private mutating func take(_ row: Columns) {
        if passes(row) { items.append(Database.product(row)) }
    }

    private func withProduct<Value>(_ id: Int64, _ db: Database, _ body: (Columns) throws -> Value) throws -> Value? {
        guard !text.isEmpty else {
            return try db.first("SELECT \(Database.productColumns) FROM products WHERE id = ?", id, read: body)
        }
        return try db.first(
            "SELECT \(Database.productColumns) FROM products WHERE id = ? AND instr(name_folded, ?) > 0", id, text, read: body)
    }

    /// Whether a product whose name contains the text passes the rest of the filter.
    private func passes(_ row: Columns) -> Bool {
        prices.contains(row.int(2)) && (!filter.inStockOnly || row.int(3) > row.int(4))
    }
}

extension ProductFilter.Sort {
    var list: Cursor.List {
        switch self {
        case .newest: .newestProducts
        case .priceAscending: .productsByPrice
        case .priceDescending: .productsByPriceDescending
        }
    }

    /// The cursor of the page that starts behind the product with this price and id.
    func cursor(_ price: Int64, _ id: Int64) -> Cursor {
        switch self {
        case .newest: Cursor(list: list, key: [id])
        case .priceAscending, .priceDescending: Cursor(list: list, key: [price, id])
        }
    }
}
