import Commerce
import GRDB

// Rows that many jobs of a group change, such as a product in a flash sale: their changes are gathered in memory and written once for the
// group. Each read by key adds what is gathered, so a job sees what those before it did. No SQL may read or set these columns before
// ``flush()``: products.stock and held, campaigns.issued, order_counters.last.

/// What a group adds to a product's units.
struct StockChange: GatheredChange {
    var stock: Int64 = 0
    var held: Int64 = 0

    var isNone: Bool { stock == 0 && held == 0 }
}

/// What a group adds to a campaign's number of issued coupons.
struct IssuedChange: GatheredChange {
    var issued: Int64 = 0

    var isNone: Bool { issued == 0 }
}

/// The last order number of a business day.
struct OrderCounter {
    let day: BusinessDay
    var last: Int64
    /// Whether the day has no row yet.
    let isNew: Bool
}

/// What the open transaction has gathered.
struct GatheredWrites {
    var products = GatheredRows<Product, StockChange>()
    var campaigns = GatheredRows<Campaign, IssuedChange>()
    /// By the raw value of ``GatheredTable``.
    var inserts = [GatheredInserts](repeating: GatheredInserts(), count: GatheredTable.allCases.count)
    var orderCounter: OrderCounter?
    /// The newest event, which later ones count on from.
    var lastEvent: EventID?
    /// How many writes were gathered.
    var count = 0

    mutating func removeAll() {
        products.removeAll()
        campaigns.removeAll()
        for table in inserts.indices { inserts[table].removeAll() }
        (orderCounter, lastEvent) = (nil, nil)
    }
}

extension SQLiteBooks {
    /// Writes what is gathered. The writer calls it at the end of a group, and of a job that runs apart; the books call it before a statement
    /// that reads or sets gathered columns.
    func flush() throws {
        try flushInserts()
        try writeGathered {
            for product in gathered.products.entries where !product.change.isNone {
                try run(.changeStock, product.change.stock, product.change.held, product.id)
            }
            for campaign in gathered.campaigns.entries where !campaign.change.isNone {
                try db.run("UPDATE campaigns SET issued = issued + ? WHERE id = ?", campaign.change.issued, campaign.id)
            }
            try writeOrderCounter()
        }
        gathered.removeAll()
    }

    private func writeOrderCounter() throws {
        guard let counter = gathered.orderCounter else { return }
        if counter.isNew {
            try db.run("INSERT INTO order_counters (day, last) VALUES (?, ?)", counter.day, counter.last)
        } else {
            try db.run("UPDATE order_counters SET last = ? WHERE day = ?", counter.last, counter.day)
        }
    }

    // MARK: Products

    func product(_ id: ProductID) throws -> Product? {
        guard let place = gathered.products.place(of: id.rawValue) else {
            let row = try db.product(id)
            if let row { gathered.products.add(id.rawValue, row) }
            return row
        }
        if gathered.products[place].row == nil { gathered.products[place].row = try db.product(id) }
        let entry = gathered.products[place]
        return entry.row.map { row in
            Product(
                id: id, name: row.name, price: row.price, stock: row.stock + entry.change.stock, held: row.held + entry.change.held,
                createdAt: row.createdAt)
        }
    }

    private func change(_ product: ProductID, stock: Int64, held: Int64) {
        gathered.count += 1
        if let place = gathered.products.place(of: product.rawValue) {
            gathered.products[place].change.stock += stock
            gathered.products[place].change.held += held
        } else {
            gathered.products.add(product.rawValue, nil, StockChange(stock: stock, held: held))
        }
    }

    func hold(_ units: Int64, of product: ProductID) { change(product, stock: 0, held: units) }
    func release(_ units: Int64, of product: ProductID) { change(product, stock: 0, held: -units) }
    func takeHeld(_ units: Int64, of product: ProductID) { change(product, stock: -units, held: -units) }
    func take(_ units: Int64, of product: ProductID) { change(product, stock: -units, held: 0) }
    func putBack(_ units: Int64, of product: ProductID) { change(product, stock: units, held: 0) }

    // MARK: Campaigns

    func campaign(_ id: CouponID) throws -> Campaign? {
        guard let place = gathered.campaigns.place(of: id.rawValue) else {
            let row = try db.campaign(id)
            if let row { gathered.campaigns.add(id.rawValue, row) }
            return row
        }
        if gathered.campaigns[place].row == nil { gathered.campaigns[place].row = try db.campaign(id) }
        let entry = gathered.campaigns[place]
        return entry.row.map { row in
            Campaign(
                id: id, terms: row.terms, issued: row.issued + entry.change.issued, createdAt: row.createdAt, epoch: row.epoch,
                isArchived: row.isArchived, chain: row.chain)
        }
    }

    func addIssued(_ count: Int64, to campaign: CouponID) {
        gathered.count += 1
        if let place = gathered.campaigns.place(of: campaign.rawValue) {
            gathered.campaigns[place].change.issued += count
        } else {
            gathered.campaigns.add(campaign.rawValue, nil, IssuedChange(issued: count))
        }
    }

    // MARK: Counters

    func nextOrderNumber(of day: BusinessDay) throws -> OrderNumber {
        gathered.count += 1
        if gathered.orderCounter?.day != day {
            try writeGathered { try writeOrderCounter() }
            let last = try db.first("SELECT last FROM order_counters WHERE day = ?", day) { $0.int(0) }
            gathered.orderCounter = OrderCounter(day: day, last: last ?? 0, isNew: last == nil)
        }
        gathered.orderCounter?.last += 1
        return OrderNumber(day: day, counter: gathered.orderCounter?.last ?? 0)
    }

    /// The single writer leaves no gap between the ids of an incarnation.
    func lastEventID() throws -> EventID {
        if let last = gathered.lastEvent { return last }
        let last = try db.lastEventID(base: eventBase)
        gathered.lastEvent = last
        return last
    }
}
