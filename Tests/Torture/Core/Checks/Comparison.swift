/// Compares the answers that a user got with what the service reports now.
struct Comparison {
    let customer: Customer
    let account: Account
    let findings: Findings

    private var record: Record { customer.known }
    private var who: String { "user \(customer.id)" }

    func run() {
        let record = record
        coupons(record)
        money(record)
        orders(record)
        refunds(record)
    }

    // MARK: - Coupons

    private func coupons(_ record: Record) {
        var held: [Int64: CouponFacts] = [:]
        for coupon in account.coupons {
            if let other = held.updateValue(coupon.facts, forKey: coupon.facts.campaign) {
                findings.add(
                    .doubled, "\(who) has two coupons of campaign \(coupon.facts.campaign): \(other.sequence), \(coupon.facts.sequence)")
            }
        }
        for (campaign, claim) in record.claims {
            if claim.wins.count > 1 { findings.add(.doubled, "\(who) got 201 for campaign \(campaign) \(claim.wins.count) times") }
            for facts in claim.wins + claim.shown where held[campaign] != facts {
                let now = held[campaign].map { "\($0)" } ?? "nothing"
                findings.add(.lost, "\(who) was shown \(facts), and has \(now)")
            }
        }
        for coupon in account.coupons { state(of: coupon) }
    }

    /// A coupon is used by exactly one paid order, or free; none may be held, because no order is pending.
    private func state(of coupon: Account.Coupon) {
        let users = account.orders.values.filter { $0.coupon == coupon.facts.id && ["PAID", "REFUNDED"].contains($0.status) }
        if users.count > 1 { findings.add(.doubled, "coupon \(coupon.facts.id) of \(who) is used by orders \(users.map(\.id))") }
        switch (coupon.status, users.first) {
        case ("ISSUED", nil), ("EXPIRED", nil): break
        case ("USED", let order?) where coupon.order == order.id: break
        default:
            findings.add(.wrong, "coupon \(coupon.facts.id) of \(who) is \(coupon.status), and its paid orders are \(users.map(\.id))")
        }
    }

    // MARK: - Money

    private func money(_ record: Record) {
        var sum: Int64 = 0
        for entry in account.entries {
            sum += entry.amount
            if entry.balanceAfter != sum {
                findings.add(.wrong, "\(who): entry \(entry.id) says balance \(entry.balanceAfter), and the entries add up to \(sum)")
            }
            if sum < 0 { findings.add(.wrong, "\(who): the balance was \(sum)") }
        }
        if account.balance != sum { findings.add(.wrong, "\(who): the balance is \(account.balance), and the entries add up to \(sum)") }
        charges(record)
        let paid = account.orders.values.filter { ["PAID", "REFUNDED"].contains($0.status) }
        var payments: [Int64: [Int64]] = [:]
        for entry in account.entries where entry.kind == "PAYMENT" { payments[entry.order ?? 0, default: []].append(-entry.amount) }
        // An order that costs nothing has no entries.
        for order in paid where payments.removeValue(forKey: order.id) ?? [0] != [order.finalAmount] {
            findings.add(.wrong, "\(who): order \(order.id) is \(order.status), and its payment entries are not [\(order.finalAmount)]")
        }
        for (order, amounts) in payments { findings.add(.wrong, "\(who): entries \(amounts) pay order \(order), which is not paid") }
    }

    private func charges(_ record: Record) {
        let entries = Dictionary(grouping: account.entries.filter { $0.kind == "CHARGE" }, by: \.amount)
        for (amount, found) in entries {
            if record.charges[amount] == nil { findings.add(.wrong, "\(who): the charge of \(amount) was never requested") }
            if found.count > 1 { findings.add(.doubled, "\(who): the charge of \(amount) was made \(found.count) times") }
        }
        for (amount, charge) in record.charges {
            switch (charge.told, entries[amount]?.first) {
            case (.yes, nil): findings.add(.lost, "\(who): the charge of \(amount) was reported and is missing")
            case (.yes, let entry?):
                if entry.balanceAfter != charge.balance {
                    findings.add(
                        .wrong, "\(who): charge \(amount) reported balance \(charge.balance ?? -1), the entry says \(entry.balanceAfter)")
                }
            case (.no, _?): findings.add(.wrong, "\(who): the charge of \(amount) was refused and exists")
            default: break
            }
        }
    }

    // MARK: - Orders and payments

    private func orders(_ record: Record) {
        for (id, told) in record.orders {
            guard let order = account.orders[id] else {
                findings.add(.lost, "\(who): order \(id) was reported and is missing")
                continue
            }
            if order.units != told.units || order.finalAmount != told.finalAmount || order.coupon != told.coupon {
                findings.add(.wrong, "\(who): order \(id) was \(told) and is \(order)")
            }
            compare(order, told)
        }
        let untold = account.orders.keys.filter { record.orders[$0] == nil }
        if untold.count > record.unknownOrders {
            findings.add(.doubled, "\(who): orders \(untold.sorted()) are there, and \(record.unknownOrders) answers were lost")
        }
    }

    private func compare(_ order: Account.Order, _ told: OrderRecord) {
        if told.payments.count > 1 { findings.add(.doubled, "\(who): order \(order.id) was paid by \(told.payments)") }
        if told.cancellations > 1 { findings.add(.doubled, "\(who): order \(order.id) was cancelled \(told.cancellations) times") }
        let isPaid = ["PAID", "REFUNDED"].contains(order.status)
        if !told.payments.isEmpty, !isPaid { findings.add(.lost, "\(who): order \(order.id) was paid and is \(order.status)") }
        if told.cancellations > 0, order.status != "CANCELLED" {
            findings.add(.lost, "\(who): order \(order.id) was cancelled and is \(order.status)")
        }
        if isPaid, !told.mayBePaid { findings.add(.wrong, "\(who): order \(order.id) was never paid, and it is \(order.status)") }
        if order.status == "PENDING" { findings.add(.wrong, "\(who): order \(order.id) is still pending") }
        // Only PENDING and PAID may change afterwards; every other state that a refusal named is final.
        for state in told.statesShown.subtracting(["PENDING"]) where state != order.status && !(state == "PAID" && isPaid) {
            findings.add(.wrong, "\(who): order \(order.id) was shown as \(state) and is \(order.status)")
        }
    }

    private func refunds(_ record: Record) {
        var entries: [Int64: Int64] = [:]
        for entry in account.entries where entry.kind == "REFUND" { entries[entry.order ?? 0, default: 0] += entry.amount }
        for (id, order) in record.orders {
            guard let payment = order.payments.first else { continue }
            guard let found = account.payments[payment] else {
                findings.add(.lost, "\(who): payment \(payment) of order \(id) was reported and is missing")
                continue
            }
            let told = (record.refunds[payment] ?? []).reduce(0) { $0 + $1.amount }
            if found.order != id || found.amount != order.finalAmount {
                findings.add(.wrong, "\(who): payment \(payment) is of order \(found.order) over \(found.amount)")
            }
            if found.refunded < told {
                findings.add(.lost, "\(who): \(told) of payment \(payment) was refunded, and it says \(found.refunded)")
            }
            if found.refunded > told {
                findings.add(.doubled, "\(who): \(told) of payment \(payment) was refunded, and it says \(found.refunded)")
            }
            if found.refunded > found.amount { findings.add(.wrong, "\(who): payment \(payment) gave back more than it took") }
            if entries[id] ?? 0 != found.refunded {
                findings.add(.wrong, "\(who): refund entries of order \(id) are \(entries[id] ?? 0), its payment says \(found.refunded)")
            }
        }
    }
}

extension Record {
    /// Units of an order that are still sold: what was ordered minus what was refunded.
    func unitsKept(of order: Account.Order) -> [Int64: Int64] {
        switch order.status {
        case "PAID":
            var units = order.units
            for payment in orders[order.id]?.payments ?? [] {
                for refund in refunds[payment] ?? [] {
                    for (product, count) in refund.items ?? [:] { units[product, default: 0] -= count }
                }
            }
            return units
        default: return [:]
        }
    }
}
