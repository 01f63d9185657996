package import Commerce
import Foundation
import GRDB

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
        let folded = ProductName.folded(name)
        return try await write(in: context) { db, now in
            try db.run(
                "INSERT INTO products (name, name_folded, price, stock, created_at) VALUES (?, ?, ?, ?, ?)", name, folded, price, stock, now
            )
            let id = ProductID(db.lastInsertedRowID)
            try db.addToNameIndex(id, folded)
            return .done(Product(id: id, name: name, price: price, stock: stock, held: 0, createdAt: now))
        }
    }

    /// Changes name, price or stock; placed orders keep the name and price they were placed with.
    ///
    /// Refused: `productNotFound`, `preconditionFailed` where `condition` does not hold for the product as it is, `outOfStock` where
    /// `stockChange` takes more than can be ordered, `invalid` where more than `Bounds.stock` could be ordered afterwards.
    package func updateProduct(
        _ id: ProductID, _ change: ProductChange, onlyIf condition: (@Sendable (Product) -> Bool)? = nil,
        context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> Outcome<Product> {
        try await decide(context: context) { db in
            guard let old = try db.product(id) else { return .refused(.productNotFound(id)) }
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
            if new.name != old.name {
                let indexed = try db.first("SELECT name_folded FROM products WHERE id = ?", id) { $0.text(0) } ?? ""
                try db.renameInNameIndex(id, from: indexed, to: ProductName.folded(new.name))
            }
            try db.run(
                "UPDATE products SET name = ?, name_folded = ?, price = ?, stock = ? WHERE id = ?",
                new.name, ProductName.folded(new.name), new.price, new.stock, id)
            return .done(new)
        }
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

extension Database {
    static var productColumns: String { "id, name, price, stock, held, created_at" }

    func product(_ id: ProductID) throws -> Product? {
        try first("SELECT id, name, price, stock, held, created_at FROM products WHERE id = ?", id, read: Self.product)
    }

    static func product(_ row: Columns) -> Product {
        Product(
            id: row.id(0), name: row.text(1), price: row.won(2), stock: row.int(3), held: row.int(4), createdAt: row.instant(5))
    }

    /// Holds units for a pending order; they stay in the stock on hand.
    func hold(_ units: Int64, of product: ProductID) throws {
        try run("UPDATE products SET held = held + ? WHERE id = ?", units, product)
    }

    /// Frees held units.
    func release(_ units: Int64, of product: ProductID) throws {
        try run("UPDATE products SET held = held - ? WHERE id = ?", units, product)
    }

    /// Takes held units, which are sold now, out of the stock.
    func takeHeld(_ units: Int64, of product: ProductID) throws {
        try run("UPDATE products SET stock = stock - ?, held = held - ? WHERE id = ?", units, units, product)
    }

    /// Takes units that were not held before out of the stock.
    func take(_ units: Int64, of product: ProductID) throws {
        try run("UPDATE products SET stock = stock - ? WHERE id = ?", units, product)
    }

    /// Puts refunded units back into the stock.
    func putBack(_ units: Int64, of product: ProductID) throws {
        try run("UPDATE products SET stock = stock + ? WHERE id = ?", units, product)
    }
}
