import JSON
import TestSupport

/// A client that claims, charges, orders, pays, cancels, refunds and reads for its customers, in an order that the seed decides.
///
/// No other client acts for its customers, so their requests come one after the other, except for copies of a request that it
/// sends at once, as a double click does.
struct Shopper: Sendable {
    let customers: [Customer]
    let admin: Caller
    let client: ServiceClient
    let catalogue: Catalogue
    var random: SeededGenerator

    mutating func shop(until isOver: @Sendable () -> Bool) async {
        while !isOver(), !Task.isCancelled {
            guard let customer = customers.randomElement(using: &random) else { return }
            switch Int.random(in: 0..<100, using: &random) {
            case ..<28: await claim(customer)
            case ..<46: await charge(customer)
            case ..<60: await order(customer)
            case ..<70: await checkout(customer)
            case ..<82: await pay(customer)
            case ..<88: await cancel(customer)
            case ..<93: await refund(customer)
            default: await look(customer)
            }
        }
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    /// Sends that many copies of a request at once; returns the answers that came.
    private func send(_ request: ServiceClient.Request, copies: Int, retrying: Bool) async -> [ServiceClient.Outcome] {
        await withTaskGroup { [client] group in
            for _ in 0..<copies {
                group.addTask { retrying ? await client.outcome(of: request) : await client.outcomeOnce(of: request) }
            }
            var outcomes: [ServiceClient.Outcome] = []
            for await case let outcome? in group { outcomes.append(outcome) }
            return outcomes
        }
    }

    // MARK: - Coupons

    mutating func claim(_ customer: Customer) async {
        let pool = chance(85) ? catalogue.currentCampaigns : Array(catalogue.campaigns.keys)
        guard let campaign = pool.randomElement(using: &random) else { return }
        await claim(
            campaign, by: customer, key: chance(33) ? ServiceClient.newKey() : nil, copies: chance(25) ? 3 : 1, retrying: chance(88))
    }

    func claim(_ campaign: Int64, by customer: Customer, key: String?, copies: Int, retrying: Bool) async {
        let hadCoupon = customer.known.claims[campaign].map { !$0.wins.isEmpty || !$0.shown.isEmpty } ?? false
        let request = ServiceClient.Request(caller: customer.caller, path: "/coupons/\(campaign)/claims", key: key)
        for answer in await send(request, copies: copies, retrying: retrying).map(\.answer) {
            client.compare(answer, key: key, of: customer)
            switch (answer.status, answer.code) {
            case (201, _):
                guard let facts = (try? answer.json()).flatMap(CouponFacts.init) else {
                    client.findings.add(.wrong, "a claim answered 201 \(answer.text)")
                    continue
                }
                if ServiceClient.isReplay(answer) {
                    customer.note { $0.claims[campaign, default: ClaimRecord()].shown.append(facts) }
                } else {
                    client.counts.count { $0.won += 1 }
                    customer.note { $0.claims[campaign, default: ClaimRecord()].wins.append(facts) }
                }
            case (409, "COUPON_ALREADY_CLAIMED"):
                guard let facts = (try? answer.json())?["issuedCoupon"].flatMap(CouponFacts.init) else {
                    client.findings.add(.wrong, "already claimed, and no coupon: \(answer.text)")
                    continue
                }
                customer.note { $0.claims[campaign, default: ClaimRecord()].shown.append(facts) }
            case (409, "COUPON_SOLD_OUT"):
                if hadCoupon, await isStillSoldOut(request) {
                    client.findings.add(.lost, "user \(customer.id) has coupon \(campaign) and was refused as sold out")
                }
            // Without retries, a copy may be answered while the first one still runs.
            case (503, _), (429, _), (_, "IDEMPOTENCY_KEY_IN_USE"): break
            default: client.findings.add(.wrong, "a claim of open campaign \(campaign) answered \(answer.status) \(answer.text)")
            }
        }
    }

    /// Whether a refusal is no matter of a lease. After Redis has lost claims, another service may give out again what was lost; the others
    /// learn of that when their cached refusals end, after 1 s.
    private func isStillSoldOut(_ request: ServiceClient.Request) async -> Bool {
        guard client.balancer.hasSeveral else { return true }
        try? await Task.sleep(for: .milliseconds(1_500))
        return await client.askUntilFinal(request)?.code == "COUPON_SOLD_OUT"
    }

    // MARK: - Money

    private mutating func charge(_ customer: Customer) async {
        let amount = customer.note { $0.newChargeAmount() }
        let key = chance(75) ? ServiceClient.newKey() : nil
        customer.note { $0.charges[amount] = ChargeRecord(told: .unknown) }
        let request = ServiceClient.Request(
            caller: customer.caller, path: "/users/\(customer.id)/balance/charges", body: #"{"amount": \#(amount)}"#, key: key)
        // Without a key, a retry would be another charge.
        let answers = await send(request, copies: key != nil && chance(30) ? 3 : 1, retrying: key != nil)
        if key != nil, answers.isEmpty { return }
        var fresh = 0
        for outcome in answers {
            let answer = outcome.answer
            client.compare(answer, key: key, of: customer)
            if answer.status == 201 {
                if !ServiceClient.isReplay(answer) { fresh += 1 }
                let (id, balance) = (try? answer.int("chargeId"), try? answer.int("balance"))
                customer.note { $0.charges[amount] = ChargeRecord(told: .yes, chargeID: id, balance: balance) }
            } else if !outcome.isUncertain {
                // Refused or unavailable, so nothing has changed.
                customer.note { if $0.charges[amount]?.told == .unknown { $0.charges[amount]?.told = .no } }
            }
        }
        if fresh > 1 { client.findings.add(.doubled, "one charge of user \(customer.id) under one key was made \(fresh) times") }
        if fresh > 0 { client.counts.count { $0.charged += 1 } }
    }

    // MARK: - Orders

    private mutating func basket(of customer: Customer) -> (body: String, units: [Int64: Int64], coupon: Int64?)? {
        var units: [Int64: Int64] = [:]
        var lines: [String] = []
        for _ in 0..<Int.random(in: 1...2, using: &random) {
            guard let product = catalogue.products.randomElement(using: &random) else { return nil }
            let quantity = Int64.random(in: 1...3, using: &random)
            units[product.id, default: 0] += quantity
            lines.append(#"{"productId": \#(product.id), "quantity": \#(quantity)}"#)
        }
        let coupon = chance(50) ? customer.known.coupons.randomElement(using: &random)?.id : nil
        let tail = coupon.map { #", "issuedCouponId": \#($0)"# } ?? ""
        return (#"{"items": [\#(lines.joined(separator: ", "))]\#(tail)}"#, units, coupon)
    }

    private func note(_ order: JSONValue?, _ units: [Int64: Int64], _ coupon: Int64?, of customer: Customer, payment: Int64?) {
        guard let order, let id = order["orderId"]?.int, let final = order["finalAmount"]?.int else {
            return client.findings.add(.wrong, "an order of user \(customer.id) was answered without its id or amount")
        }
        customer.note { record in
            if record.orders[id] == nil { record.orders[id] = OrderRecord(units: units, finalAmount: final, coupon: coupon) }
            guard let payment, var known = record.orders[id], !known.payments.contains(payment) else { return }
            known.mayBePaid = true
            known.payments.append(payment)
            record.orders[id] = known
        }
    }

    /// Counts an order that may exist although no answer shows it.
    private func noteUnknown(_ outcomes: [ServiceClient.Outcome], of customer: Customer) {
        let isKnown = outcomes.contains { $0.answer.status == 201 }
        if !isKnown, outcomes.isEmpty || outcomes.contains(where: \.isUncertain) { customer.note { $0.unknownOrders += 1 } }
    }

    private mutating func order(_ customer: Customer) async {
        guard let basket = basket(of: customer) else { return }
        let key = chance(66) ? ServiceClient.newKey() : nil
        let request = ServiceClient.Request(caller: customer.caller, path: "/orders", body: basket.body, key: key)
        let answers = await send(request, copies: key != nil && chance(15) ? 2 : 1, retrying: key != nil)
        noteUnknown(answers, of: customer)
        for answer in answers.map(\.answer) where answer.status == 201 {
            client.compare(answer, key: key, of: customer)
            if !ServiceClient.isReplay(answer) { client.counts.count { $0.ordered += 1 } }
            note(try? answer.json(), basket.units, basket.coupon, of: customer, payment: nil)
        }
    }

    private mutating func checkout(_ customer: Customer) async {
        guard let basket = basket(of: customer) else { return }
        let key = chance(66) ? ServiceClient.newKey() : nil
        let request = ServiceClient.Request(caller: customer.caller, path: "/checkout", body: basket.body, key: key)
        let answers = await send(request, copies: 1, retrying: key != nil)
        noteUnknown(answers, of: customer)
        for answer in answers.map(\.answer) where answer.status == 201 {
            client.compare(answer, key: key, of: customer)
            client.counts.count { $0.paid += 1 }
            let json = try? answer.json()
            note(json?["order"], basket.units, basket.coupon, of: customer, payment: json?["payment"]?["paymentId"]?.int)
        }
    }

    private mutating func openOrder(of customer: Customer) -> Int64? {
        customer.known.orders.filter { !$0.value.isOver }.keys.randomElement(using: &random)
    }

    /// Pays an order; at random twice at once, or together with a cancel.
    private mutating func pay(_ customer: Customer) async {
        guard let order = openOrder(of: customer) else { return }
        customer.note { $0.orders[order]?.mayBePaid = true }
        let keys = [chance(50) ? ServiceClient.newKey() : nil, chance(50) ? ServiceClient.newKey() : nil]
        let rival = Int.random(in: 0..<10, using: &random)
        await withTaskGroup { [self] group in
            group.addTask { await pay(order, of: customer, key: keys[0]) }
            if rival < 2 { group.addTask { await pay(order, of: customer, key: keys[1]) } }
            if rival == 2 || rival == 3 { group.addTask { await cancel(order, of: customer) } }
        }
    }

    private func pay(_ order: Int64, of customer: Customer, key: String?) async {
        let request = ServiceClient.Request(caller: customer.caller, path: "/payments", body: #"{"orderId": \#(order)}"#, key: key)
        // A retry does no harm even without a key, because an order is paid only once.
        guard let answer = await client.askUntilFinal(request) else { return }
        client.compare(answer, key: key, of: customer)
        switch (answer.status, answer.code) {
        case (201, _):
            guard let payment = try? answer.int("paymentId") else {
                return client.findings.add(.wrong, "a payment without id: \(answer.text)")
            }
            customer.note { $0.orders[order]?.payments.append(payment) }
            client.counts.count { $0.paid += 1 }
        case (409, "ORDER_NOT_PAYABLE"):
            let state = (try? answer.string("orderStatus")) ?? "?"
            if state == "EXPIRED", client.clocks.differ { break }
            customer.note { _ = $0.orders[order]?.statesShown.insert(state) }
        case (409, "INSUFFICIENT_BALANCE"): break
        default: client.findings.add(.wrong, "a payment of order \(order) answered \(answer.status) \(answer.text)")
        }
    }

    private mutating func cancel(_ customer: Customer) async {
        guard let order = openOrder(of: customer) else { return }
        await cancel(order, of: customer)
    }

    private func cancel(_ order: Int64, of customer: Customer) async {
        let request = ServiceClient.Request(caller: customer.caller, path: "/orders/\(order)/cancel")
        guard let answer = await client.askUntilFinal(request) else { return }
        switch (answer.status, answer.code) {
        case (200, _):
            client.counts.count { $0.cancelled += 1 }
            customer.note { $0.orders[order]?.cancellations += 1 }
        // An earlier attempt, whose answer was lost, may have cancelled it.
        case (409, "ORDER_NOT_CANCELLABLE"): break
        default: client.findings.add(.wrong, "cancelling order \(order) answered \(answer.status) \(answer.text)")
        }
    }

    /// Refunds some units or all of a payment; at random all of it twice at once.
    private mutating func refund(_ customer: Customer) async {
        guard let (_, order) = customer.known.orders.filter({ !$0.value.payments.isEmpty }).randomElement(using: &random),
            let payment = order.payments.first
        else { return }
        let part = chance(60) ? order.units.randomElement(using: &random)?.key : nil
        let keys = chance(20) ? [ServiceClient.newKey(), ServiceClient.newKey()] : [ServiceClient.newKey()]
        await withTaskGroup { [self] group in
            for key in keys { group.addTask { await refund(payment, of: customer, product: part, key: key) } }
        }
    }

    private func refund(_ payment: Int64, of customer: Customer, product: Int64?, key: String) async {
        let body = product.map { #"{"items": [{"productId": \#($0), "quantity": 1}]}"# } ?? "{}"
        let request = ServiceClient.Request(caller: admin, path: "/payments/\(payment)/refunds", body: body, key: key)
        guard let answer = await client.askUntilFinal(request) else { return }
        client.compare(answer, key: key, of: customer)
        switch (answer.status, answer.code) {
        case (201, _):
            guard let id = try? answer.int("refundId"), let amount = try? answer.int("amount") else {
                return client.findings.add(.wrong, "a refund without id or amount: \(answer.text)")
            }
            client.counts.count { $0.refunded += 1 }
            let refund = RefundRecord(id: id, items: product.map { [$0: 1] }, amount: amount)
            customer.note { $0.refunds[payment, default: []].append(refund) }
        case (409, "REFUND_EXCEEDS_PAYMENT"): break
        default: client.findings.add(.wrong, "a refund of payment \(payment) answered \(answer.status) \(answer.text)")
        }
    }

    // MARK: - Looking

    /// Reads what must be answered even without Redis and on a full disk.
    private mutating func look(_ customer: Customer) async {
        guard let product = catalogue.products.randomElement(using: &random) else { return }
        let paths = [
            "/products/\(product.id)", "/products/top", "/users/\(customer.id)/balance",
            "/coupons/\(catalogue.currentCampaigns.first ?? 1)",
        ]
        guard let path = paths.randomElement(using: &random) else { return }
        let request = ServiceClient.Request(caller: customer.caller, path: path, method: "GET")
        if case .answer(let answer) = await client.ask(request), answer.status != 200 {
            client.findings.add(.wrong, "GET \(path) answered \(answer.status) \(answer.text)")
        }
    }
}
