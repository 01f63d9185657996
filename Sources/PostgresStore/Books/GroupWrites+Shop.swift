import Commerce
import Postgres
import Store

// MARK: - Products

extension GroupWrites {
    private static let insertProducts = PostgresStatement(
        "insert_products",
        """
        INSERT INTO products (id, name, name_folded, price, stock, held, created_at) SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)
        """, .int8Array, .textArray, .textArray, .int8Array, .int8Array, .int8Array, .int8Array)
    private static let updateProducts = PostgresStatement(
        "update_products",
        """
        UPDATE products SET price = n.price, stock = n.stock, held = n.held
        FROM unnest($1, $2, $3, $4) AS n (id, price, stock, held) WHERE products.id = n.id
        """, .int8Array, .int8Array, .int8Array, .int8Array)
    private static let renameProducts = PostgresStatement(
        "rename_products",
        """
        UPDATE products SET name = n.name, name_folded = n.folded FROM unnest($1, $2, $3) AS n (id, name, folded) WHERE products.id = n.id
        """, .int8Array, .textArray, .textArray)

    func addProducts(_ batch: inout PostgresBatch) {
        let (added, changed) = (books.held.products.additions, books.held.products.changes)
        if !added.isEmpty {
            batch.execute(Self.insertProducts) {
                $0.int8Array(added.map(\.id))
                $0.textArray(added.map(\.row.name))
                $0.textArray(added.map { $0.row.folded ?? "" })
                $0.int8Array(added.map(\.row.price.rawValue))
                $0.int8Array(added.map(\.row.stock))
                $0.int8Array(added.map(\.row.held))
                $0.int8Array(added.map(\.row.createdAt.milliseconds))
            }
        }
        if !changed.isEmpty {
            batch.execute(Self.updateProducts) {
                $0.int8Array(changed.map(\.id))
                $0.int8Array(changed.map(\.row.price.rawValue))
                $0.int8Array(changed.map(\.row.stock))
                $0.int8Array(changed.map(\.row.held))
            }
        }
    }

    func renameProducts(_ batch: inout PostgresBatch) {
        let renamed = books.held.products.changes.filter { $0.row.folded != nil }
        if !renamed.isEmpty {
            batch.execute(Self.renameProducts) {
                $0.int8Array(renamed.map(\.id))
                $0.textArray(renamed.map(\.row.name))
                $0.textArray(renamed.map { $0.row.folded ?? "" })
            }
        }
    }
}

// MARK: - Campaigns and coupons

extension GroupWrites {
    private static let insertCampaigns = PostgresStatement(
        "insert_campaigns",
        """
        INSERT INTO campaigns (id, name, discount_type, discount_value, discount_max, quantity, opens_at, closes_at, valid_for_s,
            min_order, restore_on_refund, epoch, created_at)
        SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        """, .int8Array, .textArray, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array,
        .boolArray, .int8Array, .int8Array)
    private static let updateCampaigns = PostgresStatement(
        "update_campaigns",
        """
        UPDATE campaigns SET issued = n.issued, quantity = n.quantity, opens_at = n.opens_at, closes_at = n.closes_at, epoch = n.epoch,
            archival = n.archival, archived_at = n.archived_at, sealed = n.sealed, sealed_count = n.sealed_count, chain_head = n.chain_head
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            AS n (id, issued, quantity, opens_at, closes_at, epoch, archival, archived_at, sealed, sealed_count, chain_head)
        WHERE campaigns.id = n.id
        """, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array,
        .byteaArray)
    private static let addHashes = PostgresStatement(
        "add_hashes",
        """
        INSERT INTO chain_blocks (coupon_id, block, before, hashes) SELECT * FROM unnest($1, $2, $3, $4)
        ON CONFLICT (coupon_id, block) DO UPDATE SET hashes = chain_blocks.hashes || excluded.hashes
        """, .int8Array, .int8Array, .byteaArray, .byteaArray)

    func addCampaigns(_ batch: inout PostgresBatch) {
        let (added, changed) = (books.held.campaigns.additions, books.held.campaigns.changes)
        if !added.isEmpty {
            let discounts = added.map { DiscountColumns($0.row.terms.discount) }
            batch.execute(Self.insertCampaigns) {
                $0.int8Array(added.map(\.id))
                $0.textArray(added.map(\.row.terms.name))
                $0.int8Array(discounts.map(\.type))
                $0.int8Array(discounts.map(\.value))
                $0.int8Array(discounts.map(\.maximum?.rawValue))
                $0.int8Array(added.map(\.row.terms.quantity))
                $0.int8Array(added.map(\.row.terms.opensAt.milliseconds))
                $0.int8Array(added.map(\.row.terms.closesAt?.milliseconds))
                $0.int8Array(added.map(\.row.terms.validForSeconds))
                $0.int8Array(added.map(\.row.terms.minOrderAmount.rawValue))
                $0.boolArray(added.map(\.row.terms.restoreOnRefund))
                $0.int8Array(added.map(\.row.epoch))
                $0.int8Array(added.map(\.row.createdAt.milliseconds))
            }
        }
        if !changed.isEmpty {
            batch.execute(Self.updateCampaigns) {
                $0.int8Array(changed.map(\.id))
                $0.int8Array(changed.map(\.row.issued))
                $0.int8Array(changed.map(\.row.terms.quantity))
                $0.int8Array(changed.map(\.row.terms.opensAt.milliseconds))
                $0.int8Array(changed.map(\.row.terms.closesAt?.milliseconds))
                $0.int8Array(changed.map(\.row.epoch))
                $0.int8Array(changed.map(\.row.archival.rawValue))
                $0.int8Array(changed.map(\.row.archivedAt?.milliseconds))
                $0.int8Array(changed.map(\.row.chain.sequence))
                $0.int8Array(changed.map(\.row.chain.count))
                $0.byteaArray(changed.map(\.row.chain.hash?.bytes))
            }
        }
        let pieces = books.chainPieces
        if !pieces.isEmpty {
            batch.execute(Self.addHashes) {
                $0.int8Array(pieces.map(\.campaign))
                $0.int8Array(pieces.map(\.piece.number))
                $0.byteaArray(pieces.map(\.piece.before.bytes))
                $0.byteaArray(pieces.map(\.piece.hashes))
            }
        }
    }

    private static let insertCoupons = PostgresStatement(
        "insert_coupons",
        """
        INSERT INTO issued_coupons (id, code, coupon_id, user_id, sequence, state, issued_at, expires_at, used_at, order_id)
        SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """, .int8Array, .textArray, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array)
    private static let updateCoupons = PostgresStatement(
        "update_coupons",
        """
        UPDATE issued_coupons SET state = n.state, used_at = n.used_at, order_id = n.order_id
        FROM unnest($1, $2, $3, $4) AS n (id, state, used_at, order_id) WHERE issued_coupons.id = n.id
        """, .int8Array, .int8Array, .int8Array, .int8Array)

    func addCoupons(_ batch: inout PostgresBatch) {
        let (added, changed) = (books.held.issuedCoupons.additions, books.held.issuedCoupons.changes)
        if !added.isEmpty {
            batch.execute(Self.insertCoupons) {
                $0.int8Array(added.map(\.id))
                $0.textArray(added.map(\.row.code.description))
                $0.int8Array(added.map(\.row.campaign.rawValue))
                $0.int8Array(added.map(\.row.user.rawValue))
                $0.int8Array(added.map(\.row.sequence))
                $0.int8Array(added.map { Int64($0.row.state.rawValue) })
                $0.int8Array(added.map(\.row.issuedAt.milliseconds))
                $0.int8Array(added.map(\.row.expiresAt.milliseconds))
                $0.int8Array(added.map(\.row.usedAt?.milliseconds))
                $0.int8Array(added.map(\.row.order?.rawValue))
            }
        }
        if !changed.isEmpty {
            batch.execute(Self.updateCoupons) {
                $0.int8Array(changed.map(\.id))
                $0.int8Array(changed.map { Int64($0.row.state.rawValue) })
                $0.int8Array(changed.map(\.row.usedAt?.milliseconds))
                $0.int8Array(changed.map(\.row.order?.rawValue))
            }
        }
    }
}

// MARK: - Orders

extension GroupWrites {
    private static let insertOrders = PostgresStatement(
        "insert_orders",
        """
        INSERT INTO orders (id, day, counter, user_id, status, total, discount, issued_coupon_id, created_at, expires_at, paid_at)
        SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array,
        .int8Array)
    private static let insertLines = PostgresStatement(
        "insert_lines",
        """
        INSERT INTO order_lines (order_id, product_id, position, name, unit_price, quantity, refunded)
        SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)
        """, .int8Array, .int8Array, .int8Array, .textArray, .int8Array, .int8Array, .int8Array)
    private static let updateOrders = PostgresStatement(
        "update_orders",
        """
        UPDATE orders SET status = n.status, paid_at = n.paid_at
        FROM unnest($1, $2, $3) AS n (id, status, paid_at) WHERE orders.id = n.id
        """, .int8Array, .int8Array, .int8Array)
    private static let updateLines = PostgresStatement(
        "update_lines",
        """
        UPDATE order_lines SET refunded = n.refunded FROM unnest($1, $2, $3) AS n (order_id, product_id, refunded)
        WHERE order_lines.order_id = n.order_id AND order_lines.product_id = n.product_id
        """, .int8Array, .int8Array, .int8Array)

    func addOrders(_ batch: inout PostgresBatch) {
        let (added, changed) = (books.held.orders.additions, books.held.orders.changes)
        if !added.isEmpty {
            batch.execute(Self.insertOrders) {
                $0.int8Array(added.map(\.id))
                $0.int8Array(added.map(\.row.number.day.number))
                $0.int8Array(added.map(\.row.number.counter))
                $0.int8Array(added.map(\.row.user.rawValue))
                $0.int8Array(added.map(\.row.status.stored))
                $0.int8Array(added.map(\.row.total.rawValue))
                $0.int8Array(added.map(\.row.discount.rawValue))
                $0.int8Array(added.map(\.row.coupon?.rawValue))
                $0.int8Array(added.map(\.row.createdAt.milliseconds))
                $0.int8Array(added.map(\.row.expiresAt.milliseconds))
                $0.int8Array(added.map(\.row.paidAt?.milliseconds))
            }
            let lines = added.flatMap { order in
                order.row.lines.enumerated().map { (order: order.id, position: $0.offset, row: $0.element) }
            }
            batch.execute(Self.insertLines) {
                $0.int8Array(lines.map(\.order))
                $0.int8Array(lines.map(\.row.line.productID.rawValue))
                $0.int8Array(lines.map { Int64($0.position) })
                $0.textArray(lines.map(\.row.line.name))
                $0.int8Array(lines.map(\.row.line.unitPrice.rawValue))
                $0.int8Array(lines.map(\.row.line.quantity))
                $0.int8Array(lines.map(\.row.refunded))
            }
        }
        if !changed.isEmpty {
            batch.execute(Self.updateOrders) {
                $0.int8Array(changed.map(\.id))
                $0.int8Array(changed.map(\.row.status.stored))
                $0.int8Array(changed.map(\.row.paidAt?.milliseconds))
            }
        }
        let lines = changed.flatMap { order in order.row.lines.filter(\.isChanged).map { (order: order.id, row: $0) } }
        if !lines.isEmpty {
            batch.execute(Self.updateLines) {
                $0.int8Array(lines.map(\.order))
                $0.int8Array(lines.map(\.row.line.productID.rawValue))
                $0.int8Array(lines.map(\.row.refunded))
            }
        }
    }
}
