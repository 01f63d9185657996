import Commerce
import Postgres
import Store
import TraceContext

/// Reads the rows of a group: adds the statements to a trip, and makes a working set of their results.
struct GroupReading {
    /// A statement of the trip.
    private enum Part {
        case payments, orders, lines, users, issuedCoupons, campaigns, products, events, units, owned, sequences, answers, userCount
        case outbox, newIDs, duty, grants
    }

    private let needs: GroupNeeds
    private let locks: Bool
    private var parts: [Part] = []
    /// The place of the first part among the statements of the trip.
    private var start = 0

    /// - Parameter locks: whether the rows are locked for a group that writes.
    init(_ needs: GroupNeeds, locks: Bool) { (self.needs, self.locks) = (needs, locks) }

    /// Adds what is needed, in the order of the locks.
    mutating func add(to batch: inout PostgresBatch) {
        let statements = locks ? ReadStatements.locking : ReadStatements.plain
        start = batch.count
        parts = []
        let (orders, payments) = (needs.orders, needs.payments)
        let hasOrders = !orders.isEmpty || !payments.isEmpty
        if needs.duty { add(.duty, ReadStatements.duty, &batch) }
        if !payments.isEmpty { add(.payments, statements.payments, &batch) { $0.int8Array(payments) } }
        if hasOrders {
            for (part, statement) in [(Part.orders, statements.orders), (.lines, statements.lines)] {
                add(part, statement, &batch) {
                    $0.int8Array(orders)
                    $0.int8Array(payments)
                }
            }
        }
        if !needs.users.isEmpty || !payments.isEmpty {
            add(.users, statements.users, &batch) { [users = needs.users] in
                $0.int8Array(users)
                $0.int8Array(payments)
            }
        }
        for (part, statement, ids) in [
            (Part.issuedCoupons, statements.issuedCoupons, needs.issuedCoupons), (.products, statements.products, needs.products),
        ] {
            // Campaigns are locked between the two.
            if part == .products && !needs.campaigns.isEmpty {
                add(.campaigns, statements.campaigns, &batch) { [campaigns = needs.campaigns] in $0.int8Array(campaigns) }
            }
            guard hasOrders || !ids.isEmpty else { continue }
            add(part, statement, &batch) {
                $0.int8Array(orders)
                $0.int8Array(payments)
                $0.int8Array(ids)
            }
        }
        addEvents(statements, &batch)
        addByOtherKeys(statements, &batch)
    }

    private mutating func addEvents(_ statements: ReadStatements, _ batch: inout PostgresBatch) {
        if !needs.events.isEmpty {
            for (part, statement) in [(Part.events, statements.events), (.units, statements.units)] {
                add(part, statement, &batch) { [events = needs.events] in $0.int8Array(events) }
            }
        }
        if !needs.grants.isEmpty { add(.grants, ReadStatements.grants, &batch) { [grants = needs.grants] in $0.int8Array(grants) } }
        if needs.outboxBounds { add(.outbox, statements.outbox, &batch) }
        if needs.new.users > 0 {
            add(.userCount, statements.userCount, &batch)
        } else if needs.userCount || !locks {
            add(.userCount, ReadStatements.userCountNow, &batch)
        }
    }

    private mutating func addByOtherKeys(_ statements: ReadStatements, _ batch: inout PostgresBatch) {
        if !needs.owners.isEmpty {
            add(.owned, statements.owned, &batch) { [owners = needs.owners] in
                $0.int8Array(owners.map(\.campaign.rawValue))
                $0.int8Array(owners.map(\.user.rawValue))
            }
        }
        if !needs.sequences.isEmpty {
            add(.sequences, statements.sequences, &batch) { [sequences = needs.sequences] in
                $0.int8Array(sequences.map(\.campaign.rawValue))
                $0.int8Array(sequences.map(\.sequence))
            }
        }
        if !needs.answers.isEmpty {
            add(.answers, statements.answers, &batch) { [answers = needs.answers] in
                $0.textArray(answers.map(\.scope))
                $0.textArray(answers.map(\.key))
            }
        }
        let counts = needs.new.fromSequences
        let drawn = counts.indices.filter { counts[$0] > 0 }
        if locks && !drawn.isEmpty {
            add(.newIDs, ReadStatements.newIDs(of: drawn), &batch) { for index in drawn { $0.int8(Int64(counts[index])) } }
        }
    }

    private mutating func add(
        _ part: Part, _ statement: PostgresStatement, _ batch: inout PostgresBatch,
        _ write: (inout PostgresParameters) -> Void = { _ in }
    ) {
        parts.append(part)
        batch.execute(statement, write)
    }
}

// MARK: - Results

extension GroupReading {
    /// Makes the working set and the new ids of the trip's results.
    func read(_ results: PostgresResults) throws -> (WorkingSet, GroupIDs) {
        var set = WorkingSet()
        var ids = GroupIDs()
        set.ask(needs)
        for (index, part) in parts.enumerated() {
            let result = results[start + index]
            switch part {
            case .payments: try result.forEachRow { try Self.payment($0, &set) }
            case .orders: try result.forEachRow { try Self.order($0, &set) }
            case .lines: try Self.lines(result, &set)
            case .users: try result.forEachRow { try Self.user($0, &set) }
            case .issuedCoupons: try result.forEachRow { _ = try Self.issuedCoupon($0, &set) }
            case .campaigns: try result.forEachRow { try Self.campaign($0, &set) }
            case .products: try result.forEachRow { try Self.product($0, &set) }
            case .events: try result.forEachRow { try Self.event($0, &set) }
            case .units: try Self.units(result, &set)
            case .owned: try result.forEachRow { try Self.owned($0, &set) }
            case .sequences:
                try result.forEachRow { set.sequences[CampaignSequence(campaign: try $0.id(0), sequence: try $0.int(1))] = true }
            case .answers: try result.forEachRow { try Self.answer($0, &set) }
            case .userCount: set.userCount = try result.value(0, 0)
            case .outbox:
                try result.forEachRow { row in
                    let pruned = PrunedEvents(through: try row.id(1), payments: try row.int(2), refunds: try row.int(3))
                    set.outbox = (try row.id(0), pruned)
                }
            case .duty: set.duty = DutyMark(holder: try result.value(0, 0), term: try result.value(0, 1))
            case .grants: try result.forEachRow { try Self.grant($0, &set) }
            case .newIDs: ids = try Self.newIDs(RowReader(result: result, row: 0))
            }
        }
        return (set, ids)
    }

    private static func newIDs(_ row: RowReader) throws -> GroupIDs {
        GroupIDs(
            transfers: NewIDs(try row.ints(0)), charges: NewIDs(try row.ints(1)), products: NewIDs(try row.ints(2)),
            campaigns: NewIDs(try row.ints(3)), issuedCoupons: NewIDs(try row.ints(4)), orders: NewIDs(try row.ints(5)),
            payments: NewIDs(try row.ints(6)), refunds: NewIDs(try row.ints(7)), events: NewIDs(try row.ints(8)),
            grants: NewIDs(try row.ints(9)))
    }

    private static func user(_ row: RowReader, _ set: inout WorkingSet) throws {
        set.users.load(
            try row.int(0),
            .success(
                UserRow(
                    name: try row.text(1), balance: try row.won(2), balanceUpdatedAt: try row.optionalInstant(3),
                    createdAt: try row.instant(4))))
    }

    private static func product(_ row: RowReader, _ set: inout WorkingSet) throws {
        set.products.load(
            try row.int(0),
            .success(
                ProductRow(
                    name: try row.text(1), folded: nil, price: try row.won(2), stock: try row.int(3), held: try row.int(4),
                    createdAt: try row.instant(5))))
    }

    private static func campaign(_ row: RowReader, _ set: inout WorkingSet) throws {
        let id = try row.int(0)
        guard let archival = Archival(rawValue: try row.int(14)) else {
            return set.campaigns.load(id, .failure(StoreError(.malformedRow, "campaign \(id) has no valid archival")))
        }
        let discount = DiscountColumns(type: try row.int(2), value: try row.int(3), maximum: try row.optionalWon(4)).discount
        let terms = CampaignTerms(
            name: try row.text(1), discount: discount, quantity: try row.int(5), opensAt: try row.instant(6),
            closesAt: try row.optionalInstant(7), validForSeconds: try row.int(8), minOrderAmount: try row.won(9),
            restoreOnRefund: try row.bool(10))
        let campaign = CampaignRow(
            terms: terms, issued: try row.int(11), createdAt: try row.instant(12), epoch: try row.int(13), archival: archival,
            archivedAt: try row.optionalInstant(15),
            chain: ChainHead(
                sequence: try row.int(16), count: try row.int(17), hash: try row.optionalBytes(18).flatMap { ChainHash($0) }))
        set.campaigns.load(id, .success(campaign))
    }

    /// Loads the coupon and returns its id. One that is held already is the locked one, which is newer.
    private static func issuedCoupon(_ row: RowReader, _ set: inout WorkingSet) throws -> Int64 {
        let id = try row.int(0)
        if set.issuedCoupons.holds(id) { return id }
        guard let code = CouponCode(try row.text(1)), let state = IssuedCoupon.State(rawValue: try row.int(5)) else {
            set.issuedCoupons.load(id, .failure(StoreError(.malformedRow, "issued coupon \(id) has no valid code or state")))
            return id
        }
        let discount = DiscountColumns(type: try row.int(11), value: try row.int(12), maximum: try row.optionalWon(13)).discount
        let promise = IssuedCouponRow.Promise(
            name: try row.text(10), discount: discount, minOrderAmount: try row.won(14), comesBackOnRefund: try row.bool(15))
        let coupon = IssuedCouponRow(
            code: code, campaign: try row.id(2), user: try row.id(3), promise: promise, sequence: try row.int(4), state: state,
            issuedAt: try row.instant(6), expiresAt: try row.instant(7), usedAt: try row.optionalInstant(8), order: try row.optionalID(9))
        set.issuedCoupons.load(id, .success(coupon))
        return id
    }

    private static func owned(_ row: RowReader, _ set: inout WorkingSet) throws {
        set.owners[CouponOwner(campaign: try row.id(2), user: try row.id(3))] = try issuedCoupon(row, &set)
    }

    private static func order(_ row: RowReader, _ set: inout WorkingSet) throws {
        let id = try row.int(0)
        guard let status = Order.Status(stored: try row.int(4)) else {
            return set.orders.load(id, .failure(StoreError(.malformedRow, "order \(id) has no valid status")))
        }
        let coupon: IssuedCouponID? = try row.optionalID(7)
        if let coupon { set.issuedCoupons.ask([coupon.rawValue]) }
        let order = OrderRow(
            number: OrderNumber(day: try row.day(1), counter: try row.int(2)), user: try row.id(3), status: status,
            total: try row.won(5), discount: try row.won(6), coupon: coupon, createdAt: try row.instant(8),
            expiresAt: try row.instant(9), paidAt: try row.optionalInstant(10))
        set.orders.load(id, .success(order))
    }

    /// Adds the lines, which come after the orders, to their orders.
    private static func lines(_ result: PostgresResult, _ set: inout WorkingSet) throws {
        var lines: [Int64: [OrderLineRow]] = [:]
        var malformed: Set<Int64> = []
        try result.forEachRow { row in
            let (order, price, quantity) = (try row.int(0), try row.won(3), try row.int(4))
            guard let amount = price.multiplied(by: quantity) else {
                malformed.insert(order)
                return
            }
            let line = OrderLine(productID: try row.id(1), name: try row.text(2), unitPrice: price, quantity: quantity, amount: amount)
            set.products.ask([line.productID.rawValue])
            lines[order, default: []].append(OrderLineRow(line: line, refunded: try row.int(5)))
        }
        for (id, lines) in lines {
            guard let order = try? set.orders.find(id) else { continue }
            set.orders.load(id, .success(order.with(lines)))
        }
        for id in malformed where set.orders.holds(id) {
            set.orders.load(id, .failure(StoreError(.malformedRow, "a line of order \(id) costs more than any amount")))
        }
    }

    private static func payment(_ row: RowReader, _ set: inout WorkingSet) throws {
        let payment = PaymentRow(
            order: try row.id(1), number: OrderNumber(day: try row.day(2), counter: try row.int(3)), user: try row.id(4),
            amount: try row.won(5), balanceAfter: try row.won(6), paidAt: try row.instant(7), saleDay: try row.day(8),
            refunded: try row.won(9))
        set.orders.ask([payment.order.rawValue])
        set.users.ask([payment.user.rawValue])
        set.payments.load(try row.int(0), .success(payment))
    }

    private static func event(_ row: RowReader, _ set: inout WorkingSet) throws {
        let id = try row.int(0)
        guard let delivery = OrderEvent.Delivery(rawValue: try row.int(6)) else {
            return set.events.load(id, .failure(StoreError(.malformedRow, "event \(id) has no valid delivery state")))
        }
        let event = EventRow(
            kind: try row.int(1) == 0 ? .paid : .refunded, order: try row.id(2), occurredAt: try row.instant(3), saleDay: try row.day(4),
            payload: try row.text(5), delivery: delivery, attempts: try row.int(7), nextAttemptAt: try row.instant(8),
            lastError: try row.optionalText(9), trace: try row.optionalText(10).flatMap { TraceParent($0) }, units: [])
        set.events.load(id, .success(event))
    }

    private static func grant(_ row: RowReader, _ set: inout WorkingSet) throws {
        let id = try row.int(0)
        guard let state = Grant.State(rawValue: try row.int(3)) else {
            return set.grants.load(id, .failure(StoreError(.malformedRow, "grant \(id) has no valid state")))
        }
        var grant = Grant(
            id: GrantID(id), couponID: try row.id(1), actor: try row.text(2), state: state, total: try row.int(4),
            lastCouponBefore: try row.id(11), createdAt: try row.instant(12))
        grant.counts.granted = try row.int(5)
        grant.counts.alreadyHeld = try row.int(6)
        grant.counts.soldOut = try row.int(7)
        grant.counts.closed = try row.int(8)
        grant.counts.unknownUser = try row.int(9)
        grant.nextChunk = try row.int(10)
        (grant.updatedAt, grant.finishedAt) = (try row.instant(13), try row.optionalInstant(14))
        set.grants.load(id, .success(grant))
    }

    private static func units(_ result: PostgresResult, _ set: inout WorkingSet) throws {
        var units: [Int64: [ProductUnits]] = [:]
        try result.forEachRow { row in
            units[try row.int(0), default: []].append(ProductUnits(productID: try row.id(1), units: try row.int(2)))
        }
        for (id, units) in units {
            guard var event = try? set.events.find(id) else { continue }
            event.units = units
            set.events.load(id, .success(event))
        }
    }

    private static func answer(_ row: RowReader, _ set: inout WorkingSet) throws {
        set.answers[AnswerKey(scope: try row.text(0), key: try row.text(1))] = AnswerRow(
            fingerprint: try row.bytes(2), status: try row.int(3), body: try row.bytes(4), createdAt: try row.instant(5))
    }
}

extension OrderRow {
    fileprivate func with(_ lines: [OrderLineRow]) -> OrderRow {
        var order = self
        order.lines = lines
        return order
    }
}
