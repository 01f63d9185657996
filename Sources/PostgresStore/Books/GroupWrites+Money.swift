import Commerce
import Postgres
import Store

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

    func addUsers(_ batch: inout PostgresBatch) {
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

    func addPayments(_ batch: inout PostgresBatch) {
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
