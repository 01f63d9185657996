import GRDB

/// The store's schema as migrations. A migration that was released is never edited; a change is a new migration.
enum Schema {
    static var migrator: DatabaseMigrator { migrator(firstIncarnation: nil) }

    /// - Parameter firstIncarnation: the number of a new store's first incarnation; nil for the present time.
    static func migrator(firstIncarnation: Int64?) -> DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("v1") { db in
            try db.execute(sql: people + goods + coupons + orders + outbox)
        }
        migrator.registerMigration("checks without a list") { db in try writeChecksWithoutList(db) }
        migrator.registerMigration("campaigns end") { db in try db.execute(sql: campaignArchival) }
        migrator.registerMigration("identity") { db in
            try db.execute(sql: identity)
            try db.makeIdentity(firstIncarnation: firstIncarnation)
        }
        migrator.registerMigration("old events go") { db in try db.execute(sql: prunedEvents) }
        migrator.registerMigration("products are found by parts of their names") { db in
            try db.execute(sql: NameIndex.schema)
            try db.buildNameIndex()
        }
        migrator.registerMigration("waiting events by id") { db in try db.execute(sql: waitingEventsByID) }
        migrator.registerMigration("events carry a trace") { db in try db.execute(sql: "ALTER TABLE events ADD COLUMN traceparent TEXT") }
        migrator.registerMigration("wins form a chain") { db in try db.execute(sql: winChains) }
        migrator.registerMigration("admin log") { db in try db.execute(sql: adminLog) }
        migrator.registerMigration("coupons are granted to lists") { db in try db.execute(sql: grants) }
        return migrator
    }

    /// Grants of coupons to lists of users, see ``Grant`` and ``GrantChunk``. The partial index holds the few that are not done.
    private static let grants = """
        CREATE TABLE grants (
            id INTEGER PRIMARY KEY,
            coupon_id INTEGER NOT NULL REFERENCES campaigns (id),
            actor TEXT NOT NULL,
            state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),
            total INTEGER NOT NULL CHECK (total >= 0),
            granted INTEGER NOT NULL DEFAULT 0 CHECK (granted >= 0),
            already_held INTEGER NOT NULL DEFAULT 0 CHECK (already_held >= 0),
            sold_out INTEGER NOT NULL DEFAULT 0 CHECK (sold_out >= 0),
            closed INTEGER NOT NULL DEFAULT 0 CHECK (closed >= 0),
            unknown_user INTEGER NOT NULL DEFAULT 0 CHECK (unknown_user >= 0),
            next_chunk INTEGER NOT NULL DEFAULT 0 CHECK (next_chunk >= 0),
            last_coupon_before INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            finished_at INTEGER,
            CHECK ((state = 2) = (finished_at IS NOT NULL)),
            CHECK (granted + already_held + sold_out + closed + unknown_user <= total)
        ) STRICT;
        CREATE INDEX grants_by_campaign ON grants (coupon_id, id);
        CREATE INDEX grants_unfinished ON grants (id) WHERE state < 2;

        CREATE TABLE grant_chunks (
            grant_id INTEGER NOT NULL REFERENCES grants (id),
            position INTEGER NOT NULL CHECK (position >= 0),
            users BLOB NOT NULL,
            outcomes BLOB,
            PRIMARY KEY (grant_id, position)
        ) STRICT;
        """

    /// The chains of wins, see `WinChain`: a campaign's secret salt and how far its wins are sealed, and the hashes in blocks of 64.
    ///
    /// The hashes are apart from the coupons, so that sealing changes no row and no index of them.
    private static let winChains = """
        ALTER TABLE campaigns ADD COLUMN salt BLOB NOT NULL DEFAULT x'';
        UPDATE campaigns SET salt = randomblob(32);
        ALTER TABLE campaigns ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0 CHECK (sealed >= 0);
        ALTER TABLE campaigns ADD COLUMN sealed_count INTEGER NOT NULL DEFAULT 0 CHECK (sealed_count BETWEEN 0 AND sealed);
        ALTER TABLE campaigns ADD COLUMN chain_head BLOB;

        CREATE TABLE chain_blocks (
            coupon_id INTEGER NOT NULL REFERENCES campaigns (id),
            block INTEGER NOT NULL CHECK (block >= 0),
            before BLOB NOT NULL CHECK (length(before) = 32),
            hashes BLOB NOT NULL CHECK (length(hashes) <= 2048),
            PRIMARY KEY (coupon_id, block)
        ) STRICT;
        """

    /// What admins did. Entries are only appended, which triggers ensure; those that replace a row by an INSERT fire no trigger for DELETE,
    /// so they have one of their own. Where SQLite chooses the id, it is -1 in that trigger.
    private static let adminLog = """
        CREATE TABLE admin_log (
            id INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            object TEXT NOT NULL,
            request_id TEXT,
            details TEXT NOT NULL
        ) STRICT;
        CREATE INDEX admin_log_by_actor ON admin_log (actor, id);
        CREATE INDEX admin_log_by_object ON admin_log (object, id);
        CREATE TRIGGER admin_log_no_update BEFORE UPDATE ON admin_log
            BEGIN SELECT RAISE(ABORT, 'entries of the admin log are only appended'); END;
        CREATE TRIGGER admin_log_no_delete BEFORE DELETE ON admin_log
            BEGIN SELECT RAISE(ABORT, 'entries of the admin log are only appended'); END;
        CREATE TRIGGER admin_log_no_replace BEFORE INSERT ON admin_log WHEN EXISTS (SELECT 1 FROM admin_log WHERE id = NEW.id)
            BEGIN SELECT RAISE(ABORT, 'entries of the admin log are only appended'); END;
        """

    /// How far old events were removed, in one row: see ``PrunedEvents``.
    private static let prunedEvents = """
        CREATE TABLE pruned_events (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            through INTEGER NOT NULL CHECK (through >= 0),
            payments INTEGER NOT NULL CHECK (payments >= 0),
            refunds INTEGER NOT NULL CHECK (refunds >= 0)
        ) STRICT;
        INSERT INTO pruned_events VALUES (1, 0, 0, 0);
        """

    /// Which store this is, and since when: see ``StoreIdentity``.
    private static let identity = """
        CREATE TABLE identity (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            store TEXT NOT NULL,
            is_backup INTEGER NOT NULL DEFAULT 0 CHECK (is_backup BETWEEN 0 AND 1)
        ) STRICT;

        -- The ids of an incarnation's events are greater than its base, and no greater than the next incarnation's.
        CREATE TABLE incarnations (
            number INTEGER PRIMARY KEY CHECK (number >= 0),
            event_base INTEGER NOT NULL UNIQUE CHECK (event_base >= 0)
        ) STRICT;
        """

    /// For `x IN (0, 1, 2)`, SQLite opens, fills and closes a table in memory for each row that is written; a range needs none.
    ///
    /// The rows stay as they are, so the text of the schema is changed in place, by the procedure that SQLite documents for
    /// changes of checks (lang_altertable.html, "Making Other Kinds Of Table Schema Changes").
    private static func writeChecksWithoutList(_ db: Database) throws {
        let version = try Int.fetchOne(db, sql: "PRAGMA schema_version") ?? 0
        try db.execute(sql: "PRAGMA writable_schema = ON")
        for (table, column) in [("transfers", "kind"), ("issued_coupons", "state"), ("events", "delivery")] {
            try db.execute(
                sql: "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = ?",
                arguments: ["CHECK (\(column) IN (0, 1, 2))", "CHECK (\(column) BETWEEN 0 AND 2)", table])
        }
        try db.execute(sql: "PRAGMA schema_version = \(version + 1)")
        try db.execute(sql: "PRAGMA writable_schema = OFF")
    }

    /// A campaign's archival: 0 is live, 1 is being archived (its gate is being removed from Redis), 2 is archived and has no gate.
    ///
    /// All campaigns of an older store are live. The partial indexes hold the few that recovery reads; a claim changes none of their
    /// columns, so issuing a coupon costs no more than before.
    private static let campaignArchival = """
        ALTER TABLE campaigns ADD COLUMN archival INTEGER NOT NULL DEFAULT 0 CHECK (archival BETWEEN 0 AND 2);
        ALTER TABLE campaigns ADD COLUMN archived_at INTEGER CHECK ((archived_at IS NULL) = (archival = 0));
        CREATE INDEX campaigns_live ON campaigns (id) WHERE archival < 2;
        CREATE INDEX campaigns_archived ON campaigns (archived_at) WHERE archival = 2;
        """

    /// Waiting events are read in the order of their ids: the delivery schedules its attempts itself, and lists are by id too.
    private static let waitingEventsByID = """
        DROP INDEX events_waiting;
        CREATE INDEX events_waiting ON events (id) WHERE delivery = 0;
        """

    /// Account numbers of `transfers`: a user's is the user's id, these two are the house's.
    static let fundingAccount: Int64 = 0
    static let salesAccount: Int64 = -1

    private static let people = """
        CREATE TABLE users (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            balance INTEGER NOT NULL DEFAULT 0 CHECK (balance >= 0),
            balance_updated_at INTEGER,
            created_at INTEGER NOT NULL
        ) STRICT;

        -- Money moves as rows: debited from one account, credited to another. users.balance is their running sum.
        CREATE TABLE transfers (
            id INTEGER PRIMARY KEY,
            kind INTEGER NOT NULL CHECK (kind IN (0, 1, 2)),
            user_id INTEGER NOT NULL REFERENCES users (id),
            debit_account INTEGER NOT NULL,
            credit_account INTEGER NOT NULL CHECK (credit_account <> debit_account),
            amount INTEGER NOT NULL CHECK (amount > 0),
            balance_after INTEGER NOT NULL CHECK (balance_after >= 0),
            order_id INTEGER REFERENCES orders (id),
            at INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX transfers_by_user ON transfers (user_id, id);

        CREATE TABLE charges (
            id INTEGER PRIMARY KEY,
            user_id INTEGER NOT NULL REFERENCES users (id),
            amount INTEGER NOT NULL CHECK (amount > 0),
            transfer_id INTEGER NOT NULL REFERENCES transfers (id),
            at INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE idempotency (
            scope TEXT NOT NULL,
            key TEXT NOT NULL,
            fingerprint BLOB NOT NULL,
            status INTEGER NOT NULL,
            body BLOB NOT NULL,
            created_at INTEGER NOT NULL,
            PRIMARY KEY (scope, key)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX idempotency_by_age ON idempotency (created_at);

        """

    private static let goods = """
        CREATE TABLE products (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            name_folded TEXT NOT NULL,
            price INTEGER NOT NULL CHECK (price > 0),
            stock INTEGER NOT NULL,
            held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
            created_at INTEGER NOT NULL,
            CHECK (stock >= held)
        ) STRICT;
        CREATE INDEX products_by_price ON products (price, id);

        """

    private static let coupons = """
        CREATE TABLE campaigns (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            discount_type INTEGER NOT NULL CHECK (discount_type IN (0, 1)),
            discount_value INTEGER NOT NULL,
            discount_max INTEGER,
            quantity INTEGER NOT NULL,
            issued INTEGER NOT NULL DEFAULT 0 CHECK (issued >= 0),
            opens_at INTEGER NOT NULL,
            closes_at INTEGER,
            valid_for_s INTEGER NOT NULL,
            min_order INTEGER NOT NULL,
            restore_on_refund INTEGER NOT NULL,
            epoch INTEGER NOT NULL DEFAULT 0,
            created_at INTEGER NOT NULL,
            CHECK (issued <= quantity)
        ) STRICT;

        CREATE TABLE issued_coupons (
            id INTEGER PRIMARY KEY,
            code TEXT NOT NULL UNIQUE,
            coupon_id INTEGER NOT NULL REFERENCES campaigns (id),
            user_id INTEGER NOT NULL REFERENCES users (id),
            sequence INTEGER NOT NULL CHECK (sequence > 0),
            state INTEGER NOT NULL DEFAULT 0 CHECK (state IN (0, 1, 2)),
            issued_at INTEGER NOT NULL,
            expires_at INTEGER NOT NULL,
            used_at INTEGER,
            order_id INTEGER REFERENCES orders (id),
            UNIQUE (coupon_id, user_id),
            UNIQUE (coupon_id, sequence),
            CHECK ((state = 0) = (order_id IS NULL)),
            CHECK ((state = 2) = (used_at IS NOT NULL))
        ) STRICT;
        CREATE INDEX issued_coupons_by_user ON issued_coupons (user_id, id);

        """

    private static let orders = """
        CREATE TABLE order_counters (
            day INTEGER PRIMARY KEY,
            last INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE orders (
            id INTEGER PRIMARY KEY,
            day INTEGER NOT NULL,
            counter INTEGER NOT NULL,
            user_id INTEGER NOT NULL REFERENCES users (id),
            status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 4),
            total INTEGER NOT NULL CHECK (total > 0),
            discount INTEGER NOT NULL CHECK (discount BETWEEN 0 AND total),
            issued_coupon_id INTEGER REFERENCES issued_coupons (id),
            created_at INTEGER NOT NULL,
            expires_at INTEGER NOT NULL,
            paid_at INTEGER,
            UNIQUE (day, counter)
        ) STRICT;
        CREATE INDEX orders_by_user ON orders (user_id, id);
        CREATE INDEX orders_by_expiry ON orders (expires_at) WHERE status = 0;

        CREATE TABLE order_lines (
            order_id INTEGER NOT NULL REFERENCES orders (id),
            product_id INTEGER NOT NULL REFERENCES products (id),
            position INTEGER NOT NULL,
            name TEXT NOT NULL,
            unit_price INTEGER NOT NULL,
            quantity INTEGER NOT NULL CHECK (quantity > 0),
            refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND quantity),
            PRIMARY KEY (order_id, product_id)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE payments (
            id INTEGER PRIMARY KEY,
            order_id INTEGER NOT NULL UNIQUE REFERENCES orders (id),
            user_id INTEGER NOT NULL REFERENCES users (id),
            amount INTEGER NOT NULL CHECK (amount >= 0),
            balance_after INTEGER NOT NULL,
            paid_at INTEGER NOT NULL,
            sale_day INTEGER NOT NULL,
            refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND amount)
        ) STRICT;

        CREATE TABLE refunds (
            id INTEGER PRIMARY KEY,
            payment_id INTEGER NOT NULL REFERENCES payments (id),
            amount INTEGER NOT NULL CHECK (amount >= 0),
            at INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX refunds_by_payment ON refunds (payment_id, id);

        CREATE TABLE refund_lines (
            refund_id INTEGER NOT NULL REFERENCES refunds (id),
            product_id INTEGER NOT NULL REFERENCES products (id),
            quantity INTEGER NOT NULL CHECK (quantity > 0),
            PRIMARY KEY (refund_id, product_id)
        ) STRICT, WITHOUT ROWID;

        """

    private static let outbox = """
        CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            kind INTEGER NOT NULL CHECK (kind IN (0, 1)),
            order_id INTEGER NOT NULL REFERENCES orders (id),
            occurred_at INTEGER NOT NULL,
            sale_day INTEGER NOT NULL,
            payload TEXT NOT NULL,
            delivery INTEGER NOT NULL DEFAULT 0 CHECK (delivery IN (0, 1, 2)),
            attempts INTEGER NOT NULL DEFAULT 0,
            next_attempt_at INTEGER NOT NULL,
            last_error TEXT
        ) STRICT;
        CREATE INDEX events_by_day ON events (sale_day);
        CREATE INDEX events_waiting ON events (next_attempt_at, id) WHERE delivery = 0;
        CREATE INDEX events_parked ON events (id) WHERE delivery = 2;
        CREATE INDEX events_undelivered_by_order ON events (order_id, id) WHERE delivery <> 1;

        CREATE TABLE event_units (
            event_id INTEGER NOT NULL REFERENCES events (id),
            product_id INTEGER NOT NULL REFERENCES products (id),
            units INTEGER NOT NULL CHECK (units <> 0),
            PRIMARY KEY (event_id, product_id)
        ) STRICT, WITHOUT ROWID;
        """
}
