import Commerce

/// What the store should do, in memory and in few lines: the rules without transactions, indexes or SQL.
struct StoreModel {
    struct Coupon { var owner: Int; var order: Int?; var used = false }
    struct Line { let product: Int; let price: Int64; let quantity: Int64; var refunded: Int64 = 0 }
    struct Placed {
        let owner: Int, coupon: Int?, total: Int64, final: Int64, expiresAt: Int64
        var lines: [Line], status = Order.Status.pending, refunded: Int64 = 0
    }
    static let hold: Int64 = 15 * 60_000
    let limit: Int64 = 10_000_000, discount: Int64 = 3_000, minimum: Int64 = 5_000, quantity = 6, restores = true
    var balances: [Int64], stock: [Int64], held: [Int64], prices: [Int64]
    var coupons: [Coupon] = [], orders: [Placed] = [], payments: [Int] = []

    mutating func charge(_ user: Int, _ amount: Int64) -> Bool {
        guard (1_000...1_000_000).contains(amount), balances[user] + amount <= limit else { return false }
        balances[user] += amount
        return true
    }

    mutating func claim(_ user: Int) -> Bool {
        guard coupons.count < quantity, !coupons.contains(where: { $0.owner == user }) else { return false }
        coupons.append(Coupon(owner: user))
        return true
    }

    mutating func place(_ user: Int, _ wishes: [(product: Int, quantity: Int64)], coupon: Int?, now: Int64, paying: Bool) -> Bool {
        let sums = Dictionary(wishes.map { ($0.product, $0.quantity) }, uniquingKeysWith: +)
        guard sums.allSatisfy({ stock[$0.key] - held[$0.key] >= $0.value }) else { return false }
        let lines = sums.map { Line(product: $0.key, price: prices[$0.key], quantity: $0.value) }
        let total = lines.reduce(0) { $0 + $1.price * $1.quantity }
        if let coupon {
            guard coupons.indices.contains(coupon), coupons[coupon].owner == user, coupons[coupon].order == nil, total >= minimum else {
                return false
            }
        }
        let final = coupon == nil ? total : total - min(discount, total)
        if paying && balances[user] < final { return false }
        for line in lines { held[line.product] += line.quantity }
        if let coupon { coupons[coupon].order = orders.count }
        orders.append(Placed(owner: user, coupon: coupon, total: total, final: final, expiresAt: now + Self.hold, lines: lines))
        return !paying || pay(orders.count - 1, user, now: now)
    }

    mutating func pay(_ order: Int, _ user: Int, now: Int64) -> Bool {
        guard isOpen(order, now), orders[order].owner == user, balances[user] >= orders[order].final else { return false }
        balances[user] -= orders[order].final
        for line in orders[order].lines {
            stock[line.product] -= line.quantity
            held[line.product] -= line.quantity
        }
        if let coupon = orders[order].coupon { coupons[coupon].used = true }
        orders[order].status = .paid
        payments.append(order)
        return true
    }

    mutating func end(_ order: Int, as status: Order.Status) {
        for line in orders[order].lines { held[line.product] -= line.quantity }
        if let coupon = orders[order].coupon { coupons[coupon].order = nil }
        orders[order].status = status
    }

    mutating func cancel(_ order: Int, now: Int64) -> Bool {
        guard isOpen(order, now) else { return false }
        end(order, as: .cancelled)
        return true
    }

    mutating func expire(now: Int64) -> Int {
        let over = orders.indices.filter { orders[$0].status == .pending && now >= orders[$0].expiresAt }
        for order in over { end(order, as: .expired) }
        return over.count
    }

    /// The amount given back; `nil` for a refusal.
    mutating func refund(_ payment: Int, _ product: Int?, _ quantity: Int64) -> Int64? {
        let order = payments[payment]
        let back = orders[order].lines.map { line in
            product == nil ? line.quantity - line.refunded : line.product == product ? quantity : 0
        }
        guard back.reduce(0, +) > 0, zip(orders[order].lines, back).allSatisfy({ $0.quantity - $0.refunded >= $1 }) else { return nil }
        if let product, !orders[order].lines.contains(where: { $0.product == product }) { return nil }
        var gross: Int64 = 0
        for (index, units) in back.enumerated() {
            orders[order].lines[index].refunded += units
            stock[orders[order].lines[index].product] += units
            gross += orders[order].lines[index].price * units
        }
        let whole = orders[order].lines.allSatisfy { $0.refunded == $0.quantity }
        let amount = whole ? orders[order].final - orders[order].refunded : orders[order].final * gross / orders[order].total
        orders[order].refunded += amount
        balances[orders[order].owner] += amount
        if whole {
            orders[order].status = .refunded
            if restores, let coupon = orders[order].coupon { coupons[coupon] = Coupon(owner: coupons[coupon].owner) }
        }
        return amount
    }

    private func isOpen(_ order: Int, _ now: Int64) -> Bool { orders[order].status == .pending && now < orders[order].expiresAt }
}
