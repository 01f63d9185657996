import Commerce
import Foundation
import GRDB
import TestSupport
import Testing

@testable import Store

/// Pages of products against a plain filter over an array.
@Suite struct SearchTests {
    /// So few characters that parts of names meet by chance; folding changes some of them.
    private static let characters = ["감", "귤", "귤", "A", "a", "b", "é", "E\u{301}", "0", "0", " "]

    private static func text(_ lengths: ClosedRange<Int>, _ random: inout SeededGenerator) -> String {
        (0..<Int.random(in: lengths, using: &random)).map { _ in characters.randomElement(using: &random) ?? "a" }.joined()
    }

    /// A store, and what it has to have.
    private struct Shop {
        let home: TemporaryStore
        var random: SeededGenerator
        var products: [Int64: Product] = [:]
        /// Products that were made or changed since the pages began.
        var touched: Set<Int64> = []

        init(seed: SeededGenerator, budget: Int) throws {
            random = seed
            home = try TemporaryStore { $0.searchBudget = budget }
        }

        mutating func price() -> Won { Won(Int64.random(in: 1...6, using: &random)) }

        mutating func make() async throws {
            let (name, stock) = (SearchTests.text(1...7, &random), Int64.random(in: 0...2, using: &random))
            let product = try await home.store.createProduct(name: name, price: price(), stock: stock, in: .at(noon)).value
            (products[product.id.rawValue], _) = (product, touched.insert(product.id.rawValue))
        }

        /// Has the next product begin another part of the index.
        mutating func leap(to id: Int64) async throws {
            let folded = "귤 leap"
            let product = Product(id: ProductID(id), name: folded, price: price(), stock: 1, held: 0, createdAt: noon)
            try await home.store.write(context: nil) { db in
                try db.run(
                    "INSERT INTO products (id, name, name_folded, price, stock, created_at) VALUES (?, ?, ?, ?, 1, ?)", id, folded, folded,
                    product.price, noon)
                try db.addToNameIndex(product.id, folded)
            }
            products[id] = product
        }

        mutating func change(notAmong items: [Product]) async throws {
            guard let id = products.keys.sorted().randomElement(using: &random) else { return }
            var change = ProductChange()
            if Bool.random(using: &random) { change.name = SearchTests.text(1...7, &random) }
            if Bool.random(using: &random) { change.price = price() }
            if Bool.random(using: &random) { change.available = Int64.random(in: 0...2, using: &random) }
            products[id] = try await home.store.updateProduct(ProductID(id), change).value
            touched.insert(id)
        }

        mutating func filter(_ sort: ProductFilter.Sort) -> ProductFilter {
            var filter = ProductFilter(sort: sort)
            if !chance(of: 5) { filter.nameContains = SearchTests.text(1...(chance(of: 3) ? 7 : 2), &random) }
            if chance(of: 3) { filter.minPrice = price() }
            if chance(of: 3) { filter.maxPrice = price() }
            filter.inStockOnly = chance(of: 3)
            return filter
        }

        mutating func chance(of count: Int) -> Bool { Int.random(in: 0..<count, using: &random) == 0 }

        func expected(_ filter: ProductFilter) -> [Product] {
            let passing = products.values.filter { SearchTests.passes($0, filter) }
            return switch filter.sort {
            case .newest: passing.sorted { $0.id.rawValue > $1.id.rawValue }
            case .priceAscending: passing.sorted { ($0.price.rawValue, $0.id.rawValue) < ($1.price.rawValue, $1.id.rawValue) }
            case .priceDescending: passing.sorted { ($0.price.rawValue, $0.id.rawValue) > ($1.price.rawValue, $1.id.rawValue) }
            }
        }
    }

    private static func passes(_ product: Product, _ filter: ProductFilter) -> Bool {
        let part = filter.nameContains.map { Array(ProductName.folded($0).utf8) } ?? []
        return (part.isEmpty || Array(ProductName.folded(product.name).utf8).contains(part))
            && product.price >= (filter.minPrice ?? .zero) && product.price <= (filter.maxPrice ?? Won(.max))
            && (!filter.inStockOnly || product.available > 0)
    }

    static let budgets = [1, 10, 100, 1_000, StoreOptions.usualSearchBudget]

    @Test("pages show what a plain filter shows, in order, also while other products are made and changed", arguments: budgets)
    func model(budget: Int) async throws {
        let seed = SeededGenerator()
        var shop = try Shop(seed: seed, budget: budget)
        let chunk = Int64(NameIndex.placesInChunk)
        for start in [1, chunk - 15, 5 * chunk - 1] {
            try await shop.leap(to: start)
            for _ in 0..<30 { try await shop.make() }
        }
        for round in 0..<120 {
            let filter = shop.filter(ProductFilter.Sort.allCases[round % 3])
            try await walk(
                filter, &shop, limit: [1, 2, 7, 100][round % 4], isChanging: round % 2 == 1,
                isPatient: budget < StoreOptions.usualSearchBudget, "\(seed) \(filter)")
        }
        #expect(try await shop.home.audit().filter { !$0.holds } == [], "\(seed)")
    }

    /// - Parameter isPatient: whether pages may be short of their limit.
    private func walk(
        _ filter: ProductFilter, _ shop: inout Shop, limit: Int, isChanging: Bool, isPatient: Bool, _ comment: Comment
    ) async throws {
        shop.touched = []
        let before = shop.expected(filter)
        var (items, cursor): ([Product], String?) = ([], nil)
        var pages = 0
        repeat {
            let page = try await shop.home.store.products(filter, page: PageRequest(limit: limit, cursor: cursor))
            #expect(page.items.count <= limit, comment)
            #expect(isPatient || page.nextCursor == nil || page.items.count == limit, comment)
            #expect(page.nextCursor == nil || page.nextCursor != cursor, comment)
            #expect(page.items.allSatisfy { shop.products[$0.id.rawValue] == $0 && Self.passes($0, filter) }, comment)
            items += page.items
            cursor = page.nextCursor
            pages += 1
            // Each page takes the list on by a product or a chunk of the index.
            try #require(pages <= shop.products.count + 10, comment)
            if isChanging, pages <= 20 {
                if shop.chance(of: 4) { try await shop.make() } else { try await shop.change(notAmong: items) }
            }
        } while cursor != nil
        let ids = items.map(\.id.rawValue).filter { !shop.touched.contains($0) }
        #expect(ids == before.map(\.id.rawValue).filter { !shop.touched.contains($0) }, comment)
    }

    @Test("a page that has examined enough ends early and goes on, and the last one says that it is the last")
    func earlyEnd() async throws {
        let home = try TemporaryStore { $0.searchBudget = 1 }
        for name in ["ab ba", "aab", "ba"] { _ = try await home.store.makeProduct(name) }
        for sort in ProductFilter.Sort.allCases {
            // Each has both parts of the text, and none has the text.
            var (cursor, pages): (String?, Int) = (nil, 0)
            repeat {
                let page = try await home.store.products(
                    ProductFilter(nameContains: "aba", sort: sort), page: PageRequest(limit: 5, cursor: cursor))
                #expect(page.items.isEmpty)
                cursor = page.nextCursor
                pages += 1
            } while cursor != nil
            #expect(pages > 1)
        }
    }

    @Test("a name is found by each of its parts, and after a new name by those of that one alone")
    func renaming() async throws {
        let home = try TemporaryStore()
        let store = home.store
        let tangerine = try await store.makeProduct("서귀포 감귤 3kg")
        _ = try await store.makeProduct("사과")
        func found(_ text: String) async throws -> [ProductID] {
            try await store.products(ProductFilter(nameContains: text), page: PageRequest()).items.map(\.id)
        }
        for text in ["귤", "감귤", "귀포 감", "3KG", "서귀포 감귤 3kg", " "] {
            #expect(try await found(text) == [tangerine], "\(text)")
        }
        for text in ["귤감", "서포", "서귀포  감귤", "서귀포 감귤 3kg.", "\0"] { #expect(try await found(text) == [], "\(text)") }
        _ = try await store.updateProduct(tangerine, ProductChange(name: "한라봉 3kg")).value
        for text in ["감귤", "귤"] { #expect(try await found(text) == [], "\(text)") }
        for text in ["한라봉", "3k"] { #expect(try await found(text) == [tangerine], "\(text)") }
        #expect(try await home.audit().allSatisfy(\.holds))
    }

    @Test("a change of price or stock leaves the index of names as it is")
    func untouchedIndex() async throws {
        let home = try TemporaryStore()
        let tea = try await home.store.makeProduct("Green tea")
        func index() throws -> String {
            try home.foreign { db in try Row.fetchAll(db, sql: "SELECT * FROM product_name_index").map { "\($0)" }.joined() }
        }
        try home.tamper("UPDATE product_name_index SET products = x'FFFF'")
        let before = try index()
        _ = try await home.store.updateProduct(tea, ProductChange(price: Won(5), available: 3)).value
        _ = try await home.store.updateProduct(tea, ProductChange(name: "Green tea", available: 4)).value
        #expect(try index() == before)
    }

    @Test("the products of an older store are found after its migration")
    func migration() async throws {
        let folder = TemporaryFolder(on: .memory).url
        defer { try? FileManager.default.removeItem(at: folder) }
        let old = try DatabaseQueue(
            path: folder.appending(path: "store.sqlite").path, configuration: .writer(try TemporaryStore.defaultOptions()))
        try Schema.migrator.migrate(old, upTo: "campaigns end")
        let chunk = NameIndex.placesInChunk
        try await old.write { db in
            // More than one chunk, and in the first one a part that so many have that they are a bitmap.
            for id in Array(1...1_500) + [chunk - 1, chunk, 3 * chunk] {
                try db.run(
                    "INSERT INTO products (id, name, name_folded, price, stock, created_at) VALUES (?, ?, ?, 1, 1, 0)", Int64(id),
                    "귤 \(id)", "귤 \(id)")
            }
        }
        try old.close()
        let store = try TemporaryStore.open(folder)
        defer { store.close() }
        func found(_ text: String) async throws -> [Int64] {
            try await store.products(ProductFilter(nameContains: text), page: PageRequest(limit: 3)).items.map(\.id.rawValue)
        }
        #expect(try await found("귤") == [Int64(3 * chunk), Int64(chunk), Int64(chunk - 1)])
        #expect(try await found("귤 1499") == [1_499])
        let results = try await store.snapshot { snapshot throws(StoreError) in try snapshot.audit() }
        #expect(results.filter { !$0.holds } == [])
    }

    @Test("places in the index are what was put in and not taken out, in their shortest form")
    func places() {
        var random = SeededGenerator()
        for most in [3, 1_100, NameIndex.placesInChunk] {
            var (set, model): (PlaceSet, Set<UInt16>) = (PlaceSet(), [])
            for _ in 0..<5_000 {
                let place = UInt16.random(in: 0..<UInt16(most), using: &random)
                if Int.random(in: 0..<10, using: &random) < (model.count > 1_050 ? 3 : 8) {
                    set.insert(Int(place))
                    model.insert(place)
                } else {
                    set.remove(Int(place))
                    model.remove(place)
                }
                guard set == PlaceSet(model.sorted()) else {
                    Issue.record("\(random), \(model.count) places")
                    return
                }
            }
            #expect(set.places == model.sorted(), "\(random)")
        }
    }
}
