import Commerce
import GRDB

extension SQLiteBooks {
    func insertProduct(name: String, folded: String, price: Won, stock: Int64, at now: Instant) throws -> ProductID {
        try db.run(
            "INSERT INTO products (name, name_folded, price, stock, created_at) VALUES (?, ?, ?, ?, ?)", name, folded, price, stock, now)
        let id = ProductID(db.lastInsertedRowID)
        try db.addToNameIndex(id, folded)
        return id
    }

    func update(_ product: Product, folded: String) throws {
        try flush()
        let indexed = try db.first("SELECT name_folded FROM products WHERE id = ?", product.id) { $0.text(0) } ?? ""
        if folded != indexed { try db.renameInNameIndex(product.id, from: indexed, to: folded) }
        try db.run(
            "UPDATE products SET name = ?, name_folded = ?, price = ?, stock = ? WHERE id = ?",
            product.name, folded, product.price, product.stock, product.id)
    }
}

extension Database {
    static var productColumns: String { "id, name, price, stock, held, created_at" }

    func product(_ id: ProductID) throws -> Product? {
        try first("SELECT id, name, price, stock, held, created_at FROM products WHERE id = ?", id, read: Self.product)
    }

    static func product(_ row: some RowColumns) -> Product {
        Product(
            id: row.id(0), name: row.text(1), price: row.won(2), stock: row.int(3), held: row.int(4), createdAt: row.instant(5))
    }
}
