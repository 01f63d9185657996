/// The work of the service's store for an order, a payment, a checkout and a charge, in one function each: the same reads, checks
/// and rows, with row locks where the store has a single writer.
///
/// Locks are taken in one order (order, user, product), and in a mode that still allows references to the rows. A refusal raises an
/// error, so that pgbench stops; none is expected.
enum PostgresFunctions {
    static let all = placeOrder + settle + pay + checkout + charge

    /// A claim that wins, on a copy of the service's store. The next sequence comes from the campaign's row, where the service has it from
    /// Redis; codes of one moment begin alike, as the service's.
    static let claim = """
        CREATE FUNCTION claim(campaign bigint, claimant bigint) RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE
            \(clock)
            won record;
        BEGIN
            PERFORM FROM users WHERE id = claimant;
            IF NOT FOUND THEN RAISE EXCEPTION 'user not found'; END IF;
            UPDATE campaigns SET issued = issued + 1
            WHERE id = campaign AND issued < quantity AND opens_at <= moment AND (closes_at IS NULL OR closes_at > moment)
            RETURNING issued, valid_for_s INTO won;
            IF NOT FOUND THEN RAISE EXCEPTION 'campaign not found, not open or sold out'; END IF;
            INSERT INTO issued_coupons (id, code, coupon_id, user_id, sequence, issued_at, expires_at)
            VALUES (
                nextval('issued_coupon_ids'),
                to_hex(moment / 1000) || lpad(to_hex((random() * 281474976710655)::bigint), 12, '0'),
                campaign, claimant, won.issued, moment, moment + won.valid_for_s * 1000);
            RETURN won.issued;
        END $$;

        """

    /// Milliseconds since 1970, and the business day in Seoul.
    private static let clock = """
        moment bigint := (extract(epoch FROM now()) * 1000)::bigint;
        today bigint := (moment + 32400000) / 86400000;
        """

    private static let placeOrder = """
        CREATE FUNCTION place_order(buyer bigint, wanted bigint, units bigint) RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE
            \(clock)
            product record;
            placed bigint;
        BEGIN
            PERFORM balance FROM users WHERE id = buyer;
            IF NOT FOUND THEN RAISE EXCEPTION 'user not found'; END IF;
            SELECT name, price, stock, held INTO product FROM products WHERE id = wanted FOR NO KEY UPDATE;
            IF NOT FOUND THEN RAISE EXCEPTION 'product not found'; END IF;
            IF product.stock - product.held < units THEN RAISE EXCEPTION 'out of stock'; END IF;
            INSERT INTO orders (day, counter, user_id, status, total, discount, created_at, expires_at)
            VALUES (today, nextval('order_counter'), buyer, 0, product.price * units, 0, moment, moment + 900000) RETURNING id INTO placed;
            INSERT INTO order_lines (order_id, product_id, position, name, unit_price, quantity)
            VALUES (placed, wanted, 0, product.name, product.price, units);
            UPDATE products SET held = held + units WHERE id = wanted;
            RETURN placed;
        END $$;

        """

    /// The part that payment and checkout share.
    private static let settle = """
        CREATE FUNCTION settle(
            paid bigint, day bigint, counter bigint, buyer bigint, amount bigint, after bigint, moment bigint, today bigint,
            product bigint, product_name text, price bigint, units bigint
        ) RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE
            payment bigint;
            event bigint;
        BEGIN
            UPDATE users SET balance = after, balance_updated_at = moment WHERE id = buyer;
            INSERT INTO transfers (kind, user_id, debit_account, credit_account, amount, balance_after, order_id, at)
            VALUES (1, buyer, buyer, -1, amount, after, paid, moment);
            INSERT INTO payments (order_id, user_id, amount, balance_after, paid_at, sale_day)
            VALUES (paid, buyer, amount, after, moment, today) RETURNING id INTO payment;
            event := nextval('events_id_seq');
            INSERT INTO events (id, kind, order_id, occurred_at, sale_day, payload, next_attempt_at)
            VALUES (event, 0, paid, moment, today, format(
                '{"eventId":%s,"type":"ORDER_PAID","occurredAt":"%s","order":{"orderId":%s,"orderNumber":"%s-%s","userId":%s,'
                '"status":"PAID","items":[{"productId":%s,"name":"%s","unitPrice":%s,"quantity":%s,"amount":%s}],"totalAmount":%s,'
                '"discountAmount":0,"finalAmount":%s},"payment":{"paymentId":%s,"amount":%s,"refundedAmount":0,"paidAt":"%s"}}',
                event, now(), paid, day, counter, buyer, product, product_name, price, units, price * units, amount, amount, payment,
                amount, now()), moment);
            INSERT INTO event_units (event_id, product_id, units) VALUES (event, product, units);
            RETURN payment;
        END $$;

        """

    private static let pay = """
        CREATE FUNCTION pay(due bigint, buyer bigint) RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE
            \(clock)
            the_order record;
            line record;
            has bigint;
        BEGIN
            SELECT day, counter, user_id, status, total, discount, issued_coupon_id, created_at, expires_at, paid_at INTO the_order
            FROM orders WHERE id = due FOR NO KEY UPDATE;
            IF NOT FOUND THEN RAISE EXCEPTION 'order not found'; END IF;
            IF the_order.user_id <> buyer THEN RAISE EXCEPTION 'not yours'; END IF;
            IF the_order.status <> 0 OR the_order.expires_at <= moment THEN RAISE EXCEPTION 'not payable'; END IF;
            SELECT product_id, name, unit_price, quantity INTO line FROM order_lines WHERE order_id = due ORDER BY position;
            SELECT balance INTO has FROM users WHERE id = buyer FOR NO KEY UPDATE;
            IF has < the_order.total - the_order.discount THEN RAISE EXCEPTION 'insufficient balance'; END IF;
            UPDATE orders SET status = 1, paid_at = moment WHERE id = due AND status = 0;
            UPDATE products SET stock = stock - line.quantity, held = held - line.quantity WHERE id = line.product_id;
            RETURN settle(
                due, the_order.day, the_order.counter, buyer, the_order.total - the_order.discount,
                has - (the_order.total - the_order.discount), moment, today, line.product_id, line.name, line.unit_price, line.quantity);
        END $$;

        """

    private static let checkout = """
        CREATE FUNCTION checkout(buyer bigint, wanted bigint, units bigint) RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE
            \(clock)
            product record;
            has bigint;
            placed bigint;
            number bigint;
        BEGIN
            SELECT balance INTO has FROM users WHERE id = buyer FOR NO KEY UPDATE;
            IF NOT FOUND THEN RAISE EXCEPTION 'user not found'; END IF;
            SELECT name, price, stock, held INTO product FROM products WHERE id = wanted FOR NO KEY UPDATE;
            IF NOT FOUND THEN RAISE EXCEPTION 'product not found'; END IF;
            IF product.stock - product.held < units THEN RAISE EXCEPTION 'out of stock'; END IF;
            IF has < product.price * units THEN RAISE EXCEPTION 'insufficient balance'; END IF;
            number := nextval('order_counter');
            INSERT INTO orders (day, counter, user_id, status, total, discount, created_at, expires_at, paid_at)
            VALUES (today, number, buyer, 1, product.price * units, 0, moment, moment + 900000, moment) RETURNING id INTO placed;
            INSERT INTO order_lines (order_id, product_id, position, name, unit_price, quantity)
            VALUES (placed, wanted, 0, product.name, product.price, units);
            UPDATE products SET stock = stock - units WHERE id = wanted;
            RETURN settle(
                placed, today, number, buyer, product.price * units, has - product.price * units, moment, today, wanted, product.name,
                product.price, units);
        END $$;

        """

    /// With its `Idempotency-Key`, which is stored; its three parts are arguments, so that no two calls have the same key.
    private static let charge = """
        CREATE FUNCTION charge(buyer bigint, won bigint, run bigint, client bigint, number bigint) RETURNS bigint
        LANGUAGE plpgsql AS $$
        DECLARE
            \(clock)
            whose text := buyer::text;
            the_key text := run || '-' || client || '-' || number;
            digest bytea := '\\x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';
            known record;
            has bigint;
            moved bigint;
            charged bigint;
        BEGIN
            SELECT fingerprint, status, body INTO known FROM idempotency
            WHERE scope = whose AND key = the_key AND created_at > moment - 86400000;
            IF FOUND THEN RAISE EXCEPTION 'known already'; END IF;
            SELECT balance INTO has FROM users WHERE id = buyer FOR NO KEY UPDATE;
            IF NOT FOUND THEN RAISE EXCEPTION 'user not found'; END IF;
            UPDATE users SET balance = has + won, balance_updated_at = moment WHERE id = buyer;
            INSERT INTO transfers (kind, user_id, debit_account, credit_account, amount, balance_after, at)
            VALUES (0, buyer, 0, buyer, won, has + won, moment) RETURNING id INTO moved;
            INSERT INTO charges (user_id, amount, transfer_id, at) VALUES (buyer, won, moved, moment) RETURNING id INTO charged;
            INSERT INTO idempotency (scope, key, fingerprint, status, body, created_at)
            VALUES (whose, the_key, digest, 201, convert_to(format(
                '{"chargeId":%s,"userId":%s,"amount":%s,"balance":%s,"chargedAt":"%s"}', charged, buyer, won, has + won, now()), 'UTF8'),
                moment);
            RETURN charged;
        END $$;

        """
}
