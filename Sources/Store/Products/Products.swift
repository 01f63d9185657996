package import Commerce
import Foundation

/// A change to a product; `nil` leaves a field as it is.
package struct ProductChange: Sendable, Equatable {
    package var name: String?
    package var price: Won?
    /// The new number of units that can be ordered. Units that pending orders hold do not count: the stock becomes this and what is held.
    package var available: Int64?
    /// Units to add to the stock (positive) or to take away (negative). Not together with `available`.
    package var stockChange: Int64?

    package init(name: String? = nil, price: Won? = nil, available: Int64? = nil, stockChange: Int64? = nil) {
        (self.name, self.price, self.available, self.stockChange) = (name, price, available, stockChange)
    }
}

extension TransactionalStore {
    /// Creates a product with `stock` units on hand.
    package func createProduct(
        name: String, price: Won, stock: Int64, in context: WriteContext<Product>
    ) async throws(StoreError) -> WriteResult<Product> {
        let useCase = CreateProduct(name: name, folded: ProductName.folded(name), price: price, stock: stock, now: context.time)
        return try await write(useCase, in: context)
    }

    /// Changes name, price or stock; placed orders keep the name and price they were placed with.
    ///
    /// Refused: `productNotFound`, `preconditionFailed` where `condition` does not hold for the product as it is, `outOfStock` where
    /// `stockChange` takes more than can be ordered, `invalid` where more than `Bounds.stock` could be ordered afterwards.
    package func updateProduct(
        _ id: ProductID, _ change: ProductChange, onlyIf condition: (@Sendable (Product) -> Bool)? = nil,
        log: AdminLog<Changed<Product>>? = nil, context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> Outcome<Product> {
        try await decide(UpdateProduct(id: id, change: change, condition: condition), log: log, context: context).map(\.new)
    }
}

/// See ``TransactionalStore/createProduct(name:price:stock:in:)``.
struct CreateProduct: UseCase {
    let name: String
    let folded: String
    let price: Won
    let stock: Int64
    let now: Instant

    var needs: Needs { Needs(new: NewRows(products: 1)) }

    func decide(_ books: some Books) throws -> Outcome<Product> {
        let id = try books.insertProduct(name: name, folded: folded, price: price, stock: stock, at: now)
        return .done(Product(id: id, name: name, price: price, stock: stock, held: 0, createdAt: now))
    }
}

/// See ``TransactionalStore/updateProduct(_:_:onlyIf:log:context:)``.
struct UpdateProduct: UseCase {
    let id: ProductID
    let change: ProductChange
    let condition: (@Sendable (Product) -> Bool)?

    var needs: Needs { Needs(products: [id]) }

    func decide(_ books: some Books) throws -> Outcome<Changed<Product>> {
        guard let old = try books.product(id) else { return .refused(.productNotFound(id)) }
        if let condition, !condition(old) { return .refused(.preconditionFailed) }
        let available = change.available ?? old.available + (change.stockChange ?? 0)
        guard available >= 0 else { return .refused(.outOfStock(id, available: old.available)) }
        // Refunds may have raised the stock above the bound; such a product may still be changed.
        guard available <= Bounds.stock.upperBound || available <= old.available else {
            return .refused(.invalid(field: "stockChange", reason: "must leave at most \(Bounds.stock.upperBound) units to be ordered"))
        }
        let new = Product(
            id: id, name: change.name ?? old.name, price: change.price ?? old.price, stock: available + old.held,
            held: old.held, createdAt: old.createdAt)
        try books.update(new, folded: ProductName.folded(new.name))
        return .done(Changed(old: old, new: new))
    }
}

/// How product names are compared in a search.
enum ProductName {
    /// Names that differ only in case or Unicode normalization have the same form. Names are made upper case before lower case, because
    /// only upper case has one form for ß and ss: SS.
    static func folded(_ name: String) -> String {
        name.uppercased().lowercased().precomposedStringWithCanonicalMapping
    }
}
