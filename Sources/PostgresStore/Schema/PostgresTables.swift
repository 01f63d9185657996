/// The store's tables in PostgreSQL, as migrations. A migration that was released is never edited; a change is a new one.
///
/// Services of two releases run on one store while they are replaced one by one, so a change takes two releases: the first adds what is
/// new and goes on writing what the former one reads, the second removes what no release before it needs.
///
/// The tables are those of SQLite, but without foreign keys: their triggers take a third of a payment's cost and lock hot rows, no row is
/// deleted that others refer to, and every parent is read in the same transaction. The audit looks for rows without their parents instead.
enum PostgresTables {
    /// One step of the schema.
    struct Migration: Sendable {
        /// How many migrations a program must know, at the least, to use a store on which this one was made. A migration that only adds
        /// leaves the number as it was; one that removes something names the release that did without it first.
        let leastKnown: Int
        let statements: [String]
    }

    static let migrations = [
        Migration(leastKnown: 1, statements: people + goods + coupons + orders + outbox + service),
        Migration(leastKnown: 2, statements: tokenKeys),
        Migration(leastKnown: 2, statements: waitingByPlace),
        Migration(leastKnown: 2, statements: duties),
        Migration(leastKnown: 2, statements: couponStatistics),
        Migration(leastKnown: 2, statements: winChains),
        Migration(leastKnown: 2, statements: adminLog),
        Migration(leastKnown: 2, statements: grants),
        Migration(leastKnown: 2, statements: services),
    ]

    /// What the services on the store tell about themselves, see ``ServiceReport``; the rates are thousandths per second. The row of a service
    /// changes every few seconds, and no index but its key.
    private static let services = [
        """
        CREATE TABLE services (
            name text PRIMARY KEY,
            holder bigint NOT NULL,
            seen_at timestamptz NOT NULL,
            claims_won bigint NOT NULL,
            claims_refused bigint NOT NULL,
            payments bigint NOT NULL,
            paid bigint NOT NULL
        ) WITH (fillfactor = 50)
        """
    ]

    /// The chains of wins, see `WinChain`. The release before knows none of these columns: campaigns that it makes get a salt by themselves.
    private static let winChains = [
        "ALTER TABLE campaigns ADD COLUMN salt bytea NOT NULL DEFAULT \(randomBytes)",
        "ALTER TABLE campaigns ADD COLUMN sealed bigint NOT NULL DEFAULT 0 CHECK (sealed >= 0)",
        "ALTER TABLE campaigns ADD COLUMN sealed_count bigint NOT NULL DEFAULT 0 CHECK (sealed_count BETWEEN 0 AND sealed)",
        "ALTER TABLE campaigns ADD COLUMN chain_head bytea",
        """
        CREATE TABLE chain_blocks (
            coupon_id bigint NOT NULL,
            block bigint NOT NULL CHECK (block >= 0),
            before bytea NOT NULL CHECK (length(before) = 32),
            hashes bytea NOT NULL CHECK (length(hashes) <= 2048),
            PRIMARY KEY (coupon_id, block)
        ) WITH (fillfactor = 50)
        """,
    ]

    /// 32 bytes with 244 random bits, from the server's secure generator. The column's default gives each row its own.
    private static let randomBytes = "decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')"

    /// Rows that are updated often leave room on their pages, so that an update need not change an index.
    private static let roomForUpdates = "WITH (fillfactor = 80)"

    private static let people = [
        """
        CREATE TABLE users (
            id bigint PRIMARY KEY,
            name text NOT NULL,
            balance bigint NOT NULL DEFAULT 0 CHECK (balance >= 0),
            balance_updated_at bigint,
            created_at bigint NOT NULL
        ) \(roomForUpdates)
        """,
        """
        CREATE TABLE transfers (
            id bigint PRIMARY KEY,
            kind bigint NOT NULL CHECK (kind BETWEEN 0 AND 2),
            user_id bigint NOT NULL,
            debit_account bigint NOT NULL,
            credit_account bigint NOT NULL CHECK (credit_account <> debit_account),
            amount bigint NOT NULL CHECK (amount > 0),
            balance_after bigint NOT NULL CHECK (balance_after >= 0),
            order_id bigint,
            at bigint NOT NULL
        )
        """,
        "CREATE INDEX transfers_by_user ON transfers (user_id, id)",
        """
        CREATE TABLE charges (
            id bigint PRIMARY KEY,
            user_id bigint NOT NULL,
            amount bigint NOT NULL CHECK (amount > 0),
            transfer_id bigint NOT NULL,
            at bigint NOT NULL
        )
        """,
        """
        CREATE TABLE idempotency (
            scope text NOT NULL,
            key text NOT NULL,
            fingerprint bytea NOT NULL,
            status bigint NOT NULL,
            body bytea NOT NULL,
            created_at bigint NOT NULL,
            PRIMARY KEY (scope, key)
        )
        """,
        "CREATE INDEX idempotency_by_age ON idempotency (created_at)",
    ]

    private static let goods = [
        """
        CREATE TABLE products (
            id bigint PRIMARY KEY,
            name text NOT NULL,
            name_folded text NOT NULL,
            price bigint NOT NULL CHECK (price > 0),
            stock bigint NOT NULL,
            held bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
            created_at bigint NOT NULL,
            CHECK (stock >= held)
        ) \(roomForUpdates)
        """,
        "CREATE INDEX products_by_price ON products (price, id)",
    ]

    private static let coupons = [
        """
        CREATE TABLE campaigns (
            id bigint PRIMARY KEY,
            name text NOT NULL,
            discount_type bigint NOT NULL CHECK (discount_type BETWEEN 0 AND 1),
            discount_value bigint NOT NULL,
            discount_max bigint,
            quantity bigint NOT NULL,
            issued bigint NOT NULL DEFAULT 0 CHECK (issued >= 0),
            opens_at bigint NOT NULL,
            closes_at bigint,
            valid_for_s bigint NOT NULL,
            min_order bigint NOT NULL,
            restore_on_refund boolean NOT NULL,
            epoch bigint NOT NULL DEFAULT 0,
            created_at bigint NOT NULL,
            archival bigint NOT NULL DEFAULT 0 CHECK (archival BETWEEN 0 AND 2),
            archived_at bigint,
            CHECK (issued <= quantity),
            CHECK ((archived_at IS NULL) = (archival = 0))
        ) \(roomForUpdates)
        """,
        "CREATE INDEX campaigns_live ON campaigns (id) WHERE archival < 2",
        "CREATE INDEX campaigns_archived ON campaigns (archived_at) WHERE archival = 2",
        """
        CREATE TABLE issued_coupons (
            id bigint PRIMARY KEY,
            code text NOT NULL UNIQUE,
            coupon_id bigint NOT NULL,
            user_id bigint NOT NULL,
            sequence bigint NOT NULL CHECK (sequence > 0),
            state bigint NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 2),
            issued_at bigint NOT NULL,
            expires_at bigint NOT NULL,
            used_at bigint,
            order_id bigint,
            UNIQUE (coupon_id, user_id),
            UNIQUE (coupon_id, sequence),
            CHECK ((state = 0) = (order_id IS NULL)),
            CHECK ((state = 2) = (used_at IS NOT NULL))
        ) \(roomForUpdates)
        """,
        "CREATE INDEX issued_coupons_by_user ON issued_coupons (user_id, id)",
    ]

    private static let orders = [
        "CREATE TABLE order_counters (day bigint PRIMARY KEY, last bigint NOT NULL)",
        """
        CREATE TABLE orders (
            id bigint PRIMARY KEY,
            day bigint NOT NULL,
            counter bigint NOT NULL,
            user_id bigint NOT NULL,
            status bigint NOT NULL CHECK (status BETWEEN 0 AND 4),
            total bigint NOT NULL CHECK (total > 0),
            discount bigint NOT NULL CHECK (discount BETWEEN 0 AND total),
            issued_coupon_id bigint,
            created_at bigint NOT NULL,
            expires_at bigint NOT NULL,
            paid_at bigint,
            UNIQUE (day, counter)
        ) \(roomForUpdates)
        """,
        "CREATE INDEX orders_by_user ON orders (user_id, id)",
        "CREATE INDEX orders_by_expiry ON orders (expires_at) WHERE status = 0",
        """
        CREATE TABLE order_lines (
            order_id bigint NOT NULL,
            product_id bigint NOT NULL,
            position bigint NOT NULL,
            name text NOT NULL,
            unit_price bigint NOT NULL,
            quantity bigint NOT NULL CHECK (quantity > 0),
            refunded bigint NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND quantity),
            PRIMARY KEY (order_id, product_id)
        )
        """,
        """
        CREATE TABLE payments (
            id bigint PRIMARY KEY,
            order_id bigint NOT NULL UNIQUE,
            user_id bigint NOT NULL,
            amount bigint NOT NULL CHECK (amount >= 0),
            balance_after bigint NOT NULL,
            paid_at bigint NOT NULL,
            sale_day bigint NOT NULL,
            refunded bigint NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND amount)
        )
        """,
        """
        CREATE TABLE refunds (
            id bigint PRIMARY KEY,
            payment_id bigint NOT NULL,
            amount bigint NOT NULL CHECK (amount >= 0),
            at bigint NOT NULL
        )
        """,
        "CREATE INDEX refunds_by_payment ON refunds (payment_id, id)",
        """
        CREATE TABLE refund_lines (
            refund_id bigint NOT NULL,
            product_id bigint NOT NULL,
            quantity bigint NOT NULL CHECK (quantity > 0),
            PRIMARY KEY (refund_id, product_id)
        )
        """,
    ]

    /// An event's place counts committed events without a gap, in the order of their commits; ids come from a sequence, which has gaps.
    private static let outbox = [
        """
        CREATE TABLE events (
            id bigint PRIMARY KEY,
            place bigint NOT NULL UNIQUE,
            kind bigint NOT NULL CHECK (kind BETWEEN 0 AND 1),
            order_id bigint NOT NULL,
            occurred_at bigint NOT NULL,
            sale_day bigint NOT NULL,
            payload text NOT NULL,
            delivery bigint NOT NULL DEFAULT 0 CHECK (delivery BETWEEN 0 AND 2),
            attempts bigint NOT NULL DEFAULT 0,
            next_attempt_at bigint NOT NULL,
            last_error text,
            traceparent text
        )
        """,
        "CREATE INDEX events_by_day ON events (sale_day)",
        "CREATE INDEX events_waiting ON events (id) WHERE delivery = 0",
        "CREATE INDEX events_parked ON events (id) WHERE delivery = 2",
        "CREATE INDEX events_undelivered_by_order ON events (order_id, id) WHERE delivery <> 1",
        """
        CREATE TABLE event_units (
            event_id bigint NOT NULL,
            product_id bigint NOT NULL,
            units bigint NOT NULL CHECK (units <> 0),
            PRIMARY KEY (event_id, product_id)
        )
        """,
        """
        CREATE TABLE pruned_events (
            id bigint PRIMARY KEY CHECK (id = 1),
            through bigint NOT NULL CHECK (through >= 0),
            payments bigint NOT NULL CHECK (payments >= 0),
            refunds bigint NOT NULL CHECK (refunds >= 0)
        )
        """,
        "INSERT INTO pruned_events VALUES (1, 0, 0, 0)",
    ]

    /// Waiting events are delivered in the order of their places. An operator may have made the index before, without holding up writers.
    private static let waitingByPlace = ["CREATE INDEX IF NOT EXISTS events_waiting_by_place ON events (place) WHERE delivery = 0"]

    /// Tells the planner that a campaign has many coupons. Without this, where PostgreSQL analyzed the table while each campaign had one
    /// coupon, it looks for a user's coupon among all of the campaign's, also during the first sale. The number takes effect with
    /// the next ANALYZE (PostgreSQL's manual, ALTER TABLE, "n_distinct": one campaign for a thousand rows).
    private static let couponStatistics = [
        "ALTER TABLE issued_coupons ALTER COLUMN coupon_id SET (n_distinct = -0.001)", "ANALYZE issued_coupons (coupon_id)",
    ]

    /// `lanes` has the fence row of each write lane, see ``LaneFence``. `counters` has the number of users and the place of the newest
    /// event, which have no gaps.
    private static let service =
        [
            """
            CREATE TABLE identity (
                id bigint PRIMARY KEY CHECK (id = 1),
                store text NOT NULL,
                is_backup bigint NOT NULL DEFAULT 0 CHECK (is_backup BETWEEN 0 AND 1)
            )
            """,
            """
            CREATE TABLE incarnations (
                number bigint PRIMARY KEY CHECK (number >= 0),
                event_base bigint NOT NULL UNIQUE CHECK (event_base >= 0)
            )
            """,
            """
            CREATE TABLE lanes (
                lane bigint PRIMARY KEY,
                generation bigint NOT NULL,
                batch bigint NOT NULL,
                seen_at timestamptz NOT NULL
            ) WITH (fillfactor = 50)
            """,
            "CREATE TABLE counters (name text PRIMARY KEY, last bigint NOT NULL) WITH (fillfactor = 50)",
        ] + firstSequences.map { "CREATE SEQUENCE \($0)" }

    /// The keys that sign the tokens of all services on the store. One of them signs: the one without an end.
    private static let tokenKeys = [
        """
        CREATE TABLE token_keys (
            key bytea PRIMARY KEY CHECK (length(key) = 32),
            made_at bigint NOT NULL,
            ends_at bigint
        )
        """,
        "CREATE UNIQUE INDEX token_keys_present ON token_keys ((true)) WHERE ends_at IS NULL",
    ]

    /// Which service does the background duties, see ``PostgresDutyLease``. The key with the term makes a take wait for transactions that
    /// only the holder may commit.
    private static let duties = [
        """
        CREATE TABLE duties (
            name text PRIMARY KEY,
            holder bigint NOT NULL,
            term bigint NOT NULL,
            until timestamptz NOT NULL,
            successor_until timestamptz NOT NULL,
            UNIQUE (name, term)
        ) WITH (fillfactor = 50)
        """,
        "INSERT INTO duties VALUES ('background', 0, 0, to_timestamp(0), to_timestamp(0))",
        "INSERT INTO counters (name, last) VALUES ('retries', 0)",
    ]

    /// What admins did. The trigger is this schema's only one: it refuses to change or remove an entry, and fires in no work of the service.
    private static let adminLog = [
        """
        CREATE TABLE admin_log (
            id bigint PRIMARY KEY,
            at bigint NOT NULL,
            actor text NOT NULL,
            action text NOT NULL,
            object text NOT NULL,
            request_id text,
            details text NOT NULL
        )
        """,
        "CREATE INDEX admin_log_by_actor ON admin_log (actor, id)",
        "CREATE INDEX admin_log_by_object ON admin_log (object, id)",
        """
        CREATE FUNCTION refuse_change_of_admin_log() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'entries of the admin log are only appended'; END $$
        """,
        """
        CREATE TRIGGER admin_log_is_only_appended BEFORE UPDATE OR DELETE OR TRUNCATE ON admin_log
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_admin_log()
        """,
        "INSERT INTO counters (name, last) VALUES ('admin_log', 0)",
    ]

    /// Grants of coupons to lists of users, see ``Grant`` and ``GrantChunk``.
    private static let grants = [
        """
        CREATE TABLE grants (
            id bigint PRIMARY KEY,
            coupon_id bigint NOT NULL,
            actor text NOT NULL,
            state bigint NOT NULL CHECK (state BETWEEN 0 AND 2),
            total bigint NOT NULL CHECK (total >= 0),
            granted bigint NOT NULL DEFAULT 0 CHECK (granted >= 0),
            already_held bigint NOT NULL DEFAULT 0 CHECK (already_held >= 0),
            sold_out bigint NOT NULL DEFAULT 0 CHECK (sold_out >= 0),
            closed bigint NOT NULL DEFAULT 0 CHECK (closed >= 0),
            unknown_user bigint NOT NULL DEFAULT 0 CHECK (unknown_user >= 0),
            next_chunk bigint NOT NULL DEFAULT 0 CHECK (next_chunk >= 0),
            last_coupon_before bigint NOT NULL,
            created_at bigint NOT NULL,
            updated_at bigint NOT NULL,
            finished_at bigint,
            CHECK ((state = 2) = (finished_at IS NOT NULL)),
            CHECK (granted + already_held + sold_out + closed + unknown_user <= total)
        ) WITH (fillfactor = 50)
        """,
        "CREATE INDEX grants_by_campaign ON grants (coupon_id, id)",
        "CREATE INDEX grants_unfinished ON grants (id) WHERE state < 2",
        """
        CREATE TABLE grant_chunks (
            grant_id bigint NOT NULL,
            position bigint NOT NULL CHECK (position >= 0),
            users bytea NOT NULL,
            outcomes bytea,
            PRIMARY KEY (grant_id, position)
        )
        """,
        "CREATE SEQUENCE grant_ids",
    ]

    /// Where new ids come from; none keeps ids for a session (CACHE 1), so that the ids of one user rise in the order of the commits.
    static let sequences = firstSequences + ["grant_ids"]

    /// Those that the first migration makes.
    private static let firstSequences = [
        "transfer_ids", "charge_ids", "product_ids", "campaign_ids", "issued_coupon_ids", "order_ids", "payment_ids", "refund_ids",
        "event_ids",
    ]
}
