/// The tables of the service's store that an order and its money touch, with the same keys, checks, references and indexes.
///
/// Three things differ, all in favour of PostgreSQL: rows leave room for updates on their page; the number of an order comes from a
/// sequence, where the store counts in a row, for which all clients would wait while each flushes its commit; and so does the id of
/// an event, which the store keeps without a gap.
enum PostgresSchema {
    static let tables = """
        CREATE TABLE users (
            id bigint PRIMARY KEY, name text NOT NULL, balance bigint NOT NULL DEFAULT 0 CHECK (balance >= 0), balance_updated_at bigint,
            created_at bigint NOT NULL
        ) WITH (fillfactor = 70);
        CREATE TABLE products (
            id bigint PRIMARY KEY, name text NOT NULL, name_folded text NOT NULL, price bigint NOT NULL CHECK (price > 0),
            stock bigint NOT NULL, held bigint NOT NULL DEFAULT 0 CHECK (held >= 0), created_at bigint NOT NULL, CHECK (stock >= held)
        ) WITH (fillfactor = 50);
        CREATE INDEX products_by_price ON products (price, id);
        CREATE TABLE orders (
            id bigserial PRIMARY KEY, day bigint NOT NULL, counter bigint NOT NULL, user_id bigint NOT NULL REFERENCES users,
            status smallint NOT NULL CHECK (status BETWEEN 0 AND 4), total bigint NOT NULL CHECK (total > 0),
            discount bigint NOT NULL CHECK (discount BETWEEN 0 AND total), issued_coupon_id bigint, created_at bigint NOT NULL,
            expires_at bigint NOT NULL, paid_at bigint, UNIQUE (day, counter)
        ) WITH (fillfactor = 70);
        CREATE SEQUENCE order_counter CACHE 1;
        CREATE INDEX orders_by_user ON orders (user_id, id);
        CREATE INDEX orders_by_expiry ON orders (expires_at) WHERE status = 0;
        CREATE TABLE order_lines (
            order_id bigint NOT NULL REFERENCES orders, product_id bigint NOT NULL REFERENCES products, position smallint NOT NULL,
            name text NOT NULL, unit_price bigint NOT NULL, quantity bigint NOT NULL CHECK (quantity > 0),
            refunded bigint NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND quantity), PRIMARY KEY (order_id, product_id)
        );
        CREATE TABLE transfers (
            id bigserial PRIMARY KEY, kind smallint NOT NULL CHECK (kind IN (0, 1, 2)), user_id bigint NOT NULL REFERENCES users,
            debit_account bigint NOT NULL, credit_account bigint NOT NULL CHECK (credit_account <> debit_account),
            amount bigint NOT NULL CHECK (amount > 0), balance_after bigint NOT NULL CHECK (balance_after >= 0),
            order_id bigint REFERENCES orders, at bigint NOT NULL
        );
        CREATE INDEX transfers_by_user ON transfers (user_id, id);
        CREATE TABLE charges (
            id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, amount bigint NOT NULL CHECK (amount > 0),
            transfer_id bigint NOT NULL REFERENCES transfers, at bigint NOT NULL
        );
        CREATE TABLE idempotency (
            scope text NOT NULL, key text NOT NULL, fingerprint bytea NOT NULL, status smallint NOT NULL, body bytea NOT NULL,
            created_at bigint NOT NULL, PRIMARY KEY (scope, key)
        );
        CREATE INDEX idempotency_by_age ON idempotency (created_at);
        CREATE TABLE payments (
            id bigserial PRIMARY KEY, order_id bigint NOT NULL UNIQUE REFERENCES orders, user_id bigint NOT NULL REFERENCES users,
            amount bigint NOT NULL CHECK (amount >= 0), balance_after bigint NOT NULL, paid_at bigint NOT NULL, sale_day bigint NOT NULL,
            refunded bigint NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND amount)
        );
        CREATE TABLE events (
            id bigserial PRIMARY KEY, kind smallint NOT NULL CHECK (kind IN (0, 1)), order_id bigint NOT NULL REFERENCES orders,
            occurred_at bigint NOT NULL, sale_day bigint NOT NULL, payload text NOT NULL,
            delivery smallint NOT NULL DEFAULT 0 CHECK (delivery IN (0, 1, 2)), attempts bigint NOT NULL DEFAULT 0,
            next_attempt_at bigint NOT NULL, last_error text
        );
        CREATE INDEX events_by_day ON events (sale_day);
        CREATE INDEX events_waiting ON events (next_attempt_at, id) WHERE delivery = 0;
        CREATE INDEX events_parked ON events (id) WHERE delivery = 2;
        CREATE INDEX events_undelivered_by_order ON events (order_id, id) WHERE delivery <> 1;
        CREATE TABLE event_units (
            event_id bigint NOT NULL REFERENCES events, product_id bigint NOT NULL REFERENCES products,
            units bigint NOT NULL CHECK (units <> 0), PRIMARY KEY (event_id, product_id)
        );
        """

    /// As many users with money and products with stock as the service has.
    static func people(users: Int, products: Int) -> String {
        """
        INSERT INTO users SELECT i, '김민준', 1000000000, 0, 0 FROM generate_series(1, \(users)) i;
        INSERT INTO products SELECT i, '요가 매트 ' || i, '요가 매트 ' || i, 1000, 1000000000, 0, 0 FROM generate_series(1, \(products)) i;
        """
    }

    /// Makes a copy of the service's store fit for the functions: with defaults for the ids, from the store's own sequences. The number of
    /// an order and the place of an event come from sequences too, where the service takes blocks of numbers and counts in a row.
    static let defaultsOfStore = """
        ALTER TABLE transfers ALTER id SET DEFAULT nextval('transfer_ids');
        ALTER TABLE payments ALTER id SET DEFAULT nextval('payment_ids');
        ALTER SEQUENCE event_ids RENAME TO events_id_seq;
        CREATE SEQUENCE event_places;
        SELECT setval('event_places', (SELECT last + 1 FROM counters WHERE name = 'events'), false);
        ALTER TABLE events ALTER place SET DEFAULT nextval('event_places');
        CREATE SEQUENCE order_counter;
        """

    /// Open campaigns in a copy of the service's store, whose coupons do not run out; returns their ids.
    static func campaigns(_ count: Int) -> String {
        """
        INSERT INTO campaigns (
            id, name, discount_type, discount_value, quantity, opens_at, valid_for_s, min_order, restore_on_refund, created_at)
        SELECT nextval('campaign_ids'), '선착순', 0, 1000, 100000000, 0, 2592000, 0, false, 0 FROM generate_series(1, \(count))
        RETURNING id
        """
    }

    /// Pending orders, from one id to another.
    static func pendingOrders(_ ids: ClosedRange<Int>, users: Int, products: Int) -> String {
        let numbers = "generate_series(\(ids.lowerBound), \(ids.upperBound)) i"
        return """
            INSERT INTO orders (id, day, counter, user_id, status, total, discount, created_at, expires_at)
            SELECT i, 0, i, 1 + i % \(users), 0, 1000, 0, 0, 99999999999999 FROM \(numbers);
            INSERT INTO order_lines SELECT i, 1 + i % \(products), 0, '요가 매트 1', 1000, 1 FROM \(numbers);
            UPDATE products SET held = held + units FROM (
                SELECT product_id, sum(quantity) AS units FROM order_lines
                WHERE order_id BETWEEN \(ids.lowerBound) AND \(ids.upperBound) GROUP BY product_id) AS placed WHERE id = product_id;
            """
    }
}
