import Commerce
import Postgres
import Store
import TraceContext

/// Writes what a group has changed. One statement writes the rows of most tables, however many there are.
///
/// What depends on another statement has one of its own. The events come last, with the counter that numbers their places: every group
/// that appends events waits there for the commit of the one before it, and this lock is held for no round trip.
struct GroupWrites {
    let books: PostgresBooks

    func add(to batch: inout PostgresBatch) {
        batch.executeAsOne { batch in
            addUsers(&batch)
            addProducts(&batch)
            addCampaigns(&batch)
            addCoupons(&batch)
            addOrders(&batch)
            addPayments(&batch)
            addUnits(&batch)
        }
        renameProducts(&batch)
        addAnswers(&batch)
        addGrants(&batch)
        changeEvents(&batch)
        addAdminLog(&batch)
        appendEvents(&batch)
    }
}

// MARK: - Users and money

extension GroupWrites {
    private static let insertUsers = PostgresStatement(
        "insert_users",
        "INSERT INTO users (id, name, balance, balance_updated_at, created_at) SELECT * FROM unnest($1, $2, $3, $4, $5)",
        .int8Array, .textArray, .int8Array, .int8Array, .int8Array)
    private static let countUsers = PostgresStatement("count_users", "UPDATE counters SET last = $1 WHERE name = 'users'", .int8)
    private static let updateUsers = PostgresStatement(
        "update_users",
        """
        UPDATE users SET balance = n.balance, balance_updated_at = n.at
        FROM unnest($1, $2, $3) AS n (id, balance, at) WHERE users.id = n.id
        """, .int8Array, .int8Array, .int8Array)
    private static let insertTransfers = PostgresStatement(
        "insert_transfers",
        """
        INSERT INTO transfers (id, kind, user_id, debit_account, credit_account, amount, balance_after, order_id, at)
        SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array)
    private static let insertCharges = PostgresStatement(
        "insert_charges", "INSERT INTO charges (id, user_id, amount, transfer_id, at) SELECT * FROM unnest($1, $2, $3, $4, $5)",
        .int8Array, .int8Array, .int8Array, .int8Array, .int8Array)

    private func addUsers(_ batch: inout PostgresBatch) {
        let (added, changed) = (books.held.users.additions, books.held.users.changes)
        if let newest = books.newestUser {
            batch.execute(Self.insertUsers) {
                $0.int8Array(added.map(\.id))
                $0.textArray(added.map(\.row.name))
                $0.int8Array(added.map(\.row.balance.rawValue))
                $0.int8Array(added.map(\.row.balanceUpdatedAt?.milliseconds))
                $0.int8Array(added.map(\.row.createdAt.milliseconds))
            }
            batch.execute(Self.countUsers) { $0.int8(newest) }
        }
        if !changed.isEmpty {
            batch.execute(Self.updateUsers) {
                $0.int8Array(changed.map(\.id))
                $0.int8Array(changed.map(\.row.balance.rawValue))
                $0.int8Array(changed.map(\.row.balanceUpdatedAt?.milliseconds))
            }
        }
        let transfers = books.transfers
        if !transfers.isEmpty {
            batch.execute(Self.insertTransfers) {
                $0.int8Array(transfers.map(\.id))
                $0.int8Array(transfers.map(\.row.movement.rawValue).map { Int64($0) })
                $0.int8Array(transfers.map(\.row.user.rawValue))
                $0.int8Array(transfers.map { $0.row.movement.accounts(of: $0.row.user).debit })
                $0.int8Array(transfers.map { $0.row.movement.accounts(of: $0.row.user).credit })
                $0.int8Array(transfers.map(\.row.amount.rawValue))
                $0.int8Array(transfers.map(\.row.balanceAfter.rawValue))
                $0.int8Array(transfers.map(\.row.order?.rawValue))
                $0.int8Array(transfers.map(\.row.at.milliseconds))
            }
        }
        let charges = books.charges
        if !charges.isEmpty {
            batch.execute(Self.insertCharges) {
                $0.int8Array(charges.map(\.id))
                $0.int8Array(charges.map(\.row.user.rawValue))
                $0.int8Array(charges.map(\.row.amount.rawValue))
                $0.int8Array(charges.map(\.row.transfer.rawValue))
                $0.int8Array(charges.map(\.row.at.milliseconds))
            }
        }
    }
}

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

    private func addProducts(_ batch: inout PostgresBatch) {
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

    private func renameProducts(_ batch: inout PostgresBatch) {
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

    private func addCampaigns(_ batch: inout PostgresBatch) {
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

    private func addCoupons(_ batch: inout PostgresBatch) {
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

    private func addOrders(_ batch: inout PostgresBatch) {
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

// MARK: - Payments

extension GroupWrites {
    private static let insertPayments = PostgresStatement(
        "insert_payments",
        """
        INSERT INTO payments (id, order_id, user_id, amount, balance_after, paid_at, sale_day, refunded)
        SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
        """, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array)
    private static let updatePayments = PostgresStatement(
        "update_payments",
        "UPDATE payments SET refunded = n.refunded FROM unnest($1, $2) AS n (id, refunded) WHERE payments.id = n.id", .int8Array,
        .int8Array)
    private static let insertRefunds = PostgresStatement(
        "insert_refunds", "INSERT INTO refunds (id, payment_id, amount, at) SELECT * FROM unnest($1, $2, $3, $4)", .int8Array, .int8Array,
        .int8Array, .int8Array)
    private static let insertRefundLines = PostgresStatement(
        "insert_refund_lines", "INSERT INTO refund_lines (refund_id, product_id, quantity) SELECT * FROM unnest($1, $2, $3)", .int8Array,
        .int8Array, .int8Array)

    private func addPayments(_ batch: inout PostgresBatch) {
        let (added, changed) = (books.held.payments.additions, books.held.payments.changes)
        if !added.isEmpty {
            batch.execute(Self.insertPayments) {
                $0.int8Array(added.map(\.id))
                $0.int8Array(added.map(\.row.order.rawValue))
                $0.int8Array(added.map(\.row.user.rawValue))
                $0.int8Array(added.map(\.row.amount.rawValue))
                $0.int8Array(added.map(\.row.balanceAfter.rawValue))
                $0.int8Array(added.map(\.row.paidAt.milliseconds))
                $0.int8Array(added.map(\.row.saleDay.number))
                $0.int8Array(added.map(\.row.refunded.rawValue))
            }
        }
        if !changed.isEmpty {
            batch.execute(Self.updatePayments) {
                $0.int8Array(changed.map(\.id))
                $0.int8Array(changed.map(\.row.refunded.rawValue))
            }
        }
        let refunds = books.refunds
        guard !refunds.isEmpty else { return }
        batch.execute(Self.insertRefunds) {
            $0.int8Array(refunds.map(\.id))
            $0.int8Array(refunds.map(\.row.payment.rawValue))
            $0.int8Array(refunds.map(\.row.amount.rawValue))
            $0.int8Array(refunds.map(\.row.at.milliseconds))
        }
        let lines = refunds.flatMap { refund in refund.row.items.map { (refund: refund.id, item: $0) } }
        batch.execute(Self.insertRefundLines) {
            $0.int8Array(lines.map(\.refund))
            $0.int8Array(lines.map(\.item.productID.rawValue))
            $0.int8Array(lines.map(\.item.quantity))
        }
    }
}

// MARK: - Stored responses

extension GroupWrites {
    private static let deleteAnswers = PostgresStatement(
        "delete_answers",
        """
        DELETE FROM idempotency i USING unnest($1, $2, $3) AS k (scope, key, before)
        WHERE i.scope = k.scope AND i.key = k.key AND i.created_at < k.before
        """, .textArray, .textArray, .int8Array)
    /// Raises where another instance has stored a response under the key meanwhile: with ON CONFLICT, the request would take effect twice.
    private static let insertAnswers = PostgresStatement(
        "insert_answers",
        "INSERT INTO idempotency (scope, key, fingerprint, status, body, created_at) SELECT * FROM unnest($1, $2, $3, $4, $5, $6)",
        .textArray, .textArray, .byteaArray, .int8Array, .byteaArray, .int8Array)

    private func addAnswers(_ batch: inout PostgresBatch) {
        // Sorted, so that two groups with the same keys cannot wait for each other.
        let removed = books.removedAnswers.sorted { ($0.key.scope, $0.key.key) < ($1.key.scope, $1.key.key) }
        if !removed.isEmpty {
            batch.execute(Self.deleteAnswers) {
                $0.textArray(removed.map(\.key.scope))
                $0.textArray(removed.map(\.key.key))
                $0.int8Array(removed.map(\.value.milliseconds))
            }
        }
        let added = books.newAnswers.sorted { ($0.key.scope, $0.key.key) < ($1.key.scope, $1.key.key) }
        if !added.isEmpty {
            batch.execute(Self.insertAnswers) {
                $0.textArray(added.map(\.key.scope))
                $0.textArray(added.map(\.key.key))
                $0.byteaArray(added.map(\.value.fingerprint))
                $0.int8Array(added.map(\.value.status))
                $0.byteaArray(added.map(\.value.body))
                $0.int8Array(added.map(\.value.createdAt.milliseconds))
            }
        }
    }
}

// MARK: - Admin log

extension GroupWrites {
    /// A counter numbers the entries, and not a sequence: so there is no gap, and ids rise in the order of the commits.
    private static let insertAdminLog = PostgresStatement(
        "insert_admin_log",
        """
        WITH counter AS (UPDATE counters SET last = last + $1 WHERE name = 'admin_log' RETURNING last)
        INSERT INTO admin_log (id, at, actor, action, object, request_id, details)
        SELECT counter.last - $1 + n.ordinal, n.at, n.actor, n.action, n.object, n.request_id, n.details
        FROM counter, unnest($2, $3, $4, $5, $6, $7) WITH ORDINALITY AS n (at, actor, action, object, request_id, details, ordinal)
        """, .int8, .int8Array, .textArray, .textArray, .textArray, .textArray, .textArray)

    private func addAdminLog(_ batch: inout PostgresBatch) {
        let added = books.adminLog
        guard !added.isEmpty else { return }
        batch.execute(Self.insertAdminLog) {
            $0.int8(Int64(added.count))
            $0.int8Array(added.map(\.at.milliseconds))
            $0.textArray(added.map(\.actor))
            $0.textArray(added.map(\.action.name))
            $0.textArray(added.map(\.action.object))
            $0.textArray(added.map(\.requestID))
            $0.textArray(added.map(\.action.details))
        }
    }
}

// MARK: - Events

extension GroupWrites {
    private static let updateEvents = PostgresStatement(
        "update_events",
        """
        UPDATE events SET delivery = n.delivery, attempts = n.attempts, next_attempt_at = n.next_attempt_at, last_error = n.last_error
        FROM unnest($1, $2, $3, $4, $5) AS n (id, delivery, attempts, next_attempt_at, last_error) WHERE events.id = n.id
        """, .int8Array, .int8Array, .int8Array, .int8Array, .textArray)
    private static let pruneUnits = PostgresStatement(
        "prune_units",
        """
        DELETE FROM event_units u USING events e WHERE e.id > $1 AND e.id <= $2 AND e.delivery = 1 AND u.event_id = e.id
        """, .int8, .int8)
    private static let pruneEvents = PostgresStatement(
        "prune_events", "DELETE FROM events WHERE id > $1 AND id <= $2 AND delivery = 1", .int8, .int8)
    /// The service that delivers reads the events again when this has risen.
    private static let countRetries = PostgresStatement("count_retries", "UPDATE counters SET last = last + 1 WHERE name = 'retries'")
    private static let notePruning = PostgresStatement(
        "note_pruning", "UPDATE pruned_events SET through = $1, payments = $2, refunds = $3", .int8, .int8, .int8)
    private static let insertUnits = PostgresStatement(
        "insert_units", "INSERT INTO event_units (event_id, product_id, units) SELECT * FROM unnest($1, $2, $3)", .int8Array, .int8Array,
        .int8Array)
    private static let insertEvents = PostgresStatement(
        "insert_events",
        """
        WITH counter AS (UPDATE counters SET last = last + $1 WHERE name = 'events' RETURNING last)
        INSERT INTO events (place, id, kind, order_id, occurred_at, sale_day, payload, next_attempt_at, traceparent)
        SELECT counter.last - $1 + n.ordinal, n.id, n.kind, n.order_id, n.occurred_at, n.sale_day, n.payload, n.next_attempt_at, n.trace
        FROM counter, unnest($2, $3, $4, $5, $6, $7, $8, $9) WITH ORDINALITY
            AS n (id, kind, order_id, occurred_at, sale_day, payload, next_attempt_at, trace, ordinal)
        """, .int8, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .textArray, .int8Array, .textArray)

    private func changeEvents(_ batch: inout PostgresBatch) {
        let changed = books.held.events.changes
        if !changed.isEmpty {
            batch.execute(Self.updateEvents) {
                $0.int8Array(changed.map(\.id))
                $0.int8Array(changed.map(\.row.delivery.rawValue))
                $0.int8Array(changed.map(\.row.attempts))
                $0.int8Array(changed.map(\.row.nextAttemptAt.milliseconds))
                $0.textArray(changed.map(\.row.lastError))
            }
        }
        if books.retriesEvents { batch.execute(Self.countRetries) }
        guard let pruning = books.pruning else { return }
        for statement in [Self.pruneUnits, Self.pruneEvents] {
            batch.execute(statement) {
                $0.int8(pruning.from.through.rawValue)
                $0.int8(pruning.to.through.rawValue)
            }
        }
        batch.execute(Self.notePruning) {
            $0.int8(pruning.to.through.rawValue)
            $0.int8(pruning.to.payments)
            $0.int8(pruning.to.refunds)
        }
    }

    private func addUnits(_ batch: inout PostgresBatch) {
        let added = books.held.events.additions
        guard !added.isEmpty else { return }
        let units = added.flatMap { event in event.row.units.map { (event: event.id, units: $0) } }
        batch.execute(Self.insertUnits) {
            $0.int8Array(units.map(\.event))
            $0.int8Array(units.map(\.units.productID.rawValue))
            $0.int8Array(units.map(\.units.units))
        }
    }

    private func appendEvents(_ batch: inout PostgresBatch) {
        let added = books.held.events.additions
        guard !added.isEmpty else { return }
        batch.execute(Self.insertEvents) {
            $0.int8(Int64(added.count))
            $0.int8Array(added.map(\.id))
            $0.int8Array(added.map { $0.row.kind == .paid ? 0 : 1 })
            $0.int8Array(added.map(\.row.order.rawValue))
            $0.int8Array(added.map(\.row.occurredAt.milliseconds))
            $0.int8Array(added.map(\.row.saleDay.number))
            $0.textArray(added.map(\.row.payload))
            $0.int8Array(added.map(\.row.nextAttemptAt.milliseconds))
            $0.textArray(added.map { $0.row.trace?.description })
        }
    }
}
