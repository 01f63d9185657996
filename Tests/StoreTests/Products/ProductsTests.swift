import Commerce
import Store
import Testing

@Suite(.everyEngine) struct ProductsTests: StoreSuite {
    @Test("a product is what was made of it, and changes field by field")
    func changing() async throws {
        let reader = try store.makePointReader()
        let product = try await store.createProduct(name: "Green tea", price: Won(4_000), stock: 7, in: .at(noon)).value
        #expect(product == Product(id: ProductID(1), name: "Green tea", price: Won(4_000), stock: 7, held: 0, createdAt: noon))
        #expect(try reader.product(product.id) == product)
        #expect(try await store.updateProduct(product.id, ProductChange()).value == product)
        let renamed = try await store.updateProduct(product.id, ProductChange(name: "Black tea", price: Won(5_000), available: 9)).value
        #expect(renamed == Product(id: product.id, name: "Black tea", price: Won(5_000), stock: 9, held: 0, createdAt: noon))
        #expect(try reader.product(product.id) == renamed)
        let found = try await store.products(ProductFilter(nameContains: "BLACK"), page: PageRequest())
        #expect(found.items == [renamed])
        try await home.expectRefused(.productNotFound(ProductID(2))) {
            try await $0.updateProduct(ProductID(2), ProductChange(available: 1))
        }
    }

    @Test("a stock is what can be ordered: what is held comes on top, and only what is not held can be taken away")
    func stockBesideHeld() async throws {
        let user = try await store.makeUsers(1)[0]
        let tea = try await store.makeProduct(stock: 10)
        _ = try await store.order(user, [(tea, 4)])
        func change(_ change: ProductChange) async throws -> [Int64] {
            let product = try await store.updateProduct(tea, change).value
            return [product.available, product.held, product.stock]
        }
        #expect(try await change(ProductChange(available: 6)) == [6, 4, 10])
        #expect(try await change(ProductChange(available: 0)) == [0, 4, 4])
        #expect(try await change(ProductChange(stockChange: 7)) == [7, 4, 11])
        #expect(try await change(ProductChange(stockChange: -7)) == [0, 4, 4])
        try await home.expectRefused(.outOfStock(tea, available: 0)) { try await $0.updateProduct(tea, ProductChange(stockChange: -1)) }
        _ = try await store.updateProduct(tea, ProductChange(available: Bounds.stock.upperBound)).value
        guard case .refused(.invalid("stockChange", _)) = try await store.updateProduct(tea, ProductChange(stockChange: 1)) else {
            Issue.record("more units than a product may have")
            return
        }
    }

    @Test("a change whose condition does not hold for the product as it is changes nothing")
    func condition() async throws {
        let tea = try await store.makeProduct(price: 4_000)
        let isNew: @Sendable (Product) -> Bool = { $0.price == Won(4_000) }
        #expect(try await store.updateProduct(tea, ProductChange(price: Won(5_000)), onlyIf: isNew).value.price == Won(5_000))
        try await home.expectRefused(.preconditionFailed) {
            try await $0.updateProduct(tea, ProductChange(price: Won(6_000)), onlyIf: isNew)
        }
    }

    @Test(
        "a name is found by any part, without regard to case and normalization",
        arguments: [
            ("Café au lait", "CAFÉ"), ("Cafe\u{301} au lait", "caf\u{e9} AU"), ("Straße", "STRASSE"), ("100% wool", "0% w"),
            ("a_b", "_"), ("녹차", "\u{1102}\u{1169}\u{11A8}차"),
        ])
    func searching(name: String, part: String) async throws {
        let wanted = try await store.makeProduct(name)
        _ = try await store.makeProduct("Something else")
        let found = try await store.products(ProductFilter(nameContains: part), page: PageRequest())
        #expect(found.items.map(\.id) == [wanted])
    }

    @Test("filters narrow the list, and what is held is not in stock")
    func filtering() async throws {
        let user = try await store.makeUsers(1)[0]
        let cheap = try await store.makeProduct("A", price: 1_000, stock: 1)
        let middle = try await store.makeProduct("B", price: 2_000, stock: 1)
        let dear = try await store.makeProduct("C", price: 3_000, stock: 1)
        _ = try await store.order(user, [(middle, 1)])
        func ids(_ filter: ProductFilter) async throws -> [ProductID] {
            try await store.products(filter, page: PageRequest()).items.map(\.id)
        }
        #expect(try await ids(ProductFilter()) == [dear, middle, cheap])
        #expect(try await ids(ProductFilter(sort: .priceAscending)) == [cheap, middle, dear])
        #expect(try await ids(ProductFilter(sort: .priceDescending)) == [dear, middle, cheap])
        #expect(try await ids(ProductFilter(minPrice: Won(2_000), sort: .priceAscending)) == [middle, dear])
        #expect(try await ids(ProductFilter(maxPrice: Won(2_000))) == [middle, cheap])
        #expect(try await ids(ProductFilter(inStockOnly: true)) == [dear, cheap])
    }
}
