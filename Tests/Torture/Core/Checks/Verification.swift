import Foundation
import JSON
import NIOCore
import TestSupport

/// Checks everything after a round: the service against the customers' records, and by its own audit.
struct Verification {
    let environment: Environment
    let customers: [Customer]
    /// How long to wait for conditions that must become true; one that does not is a finding.
    var patience = hangLimit

    /// Prints each step.
    var printStep: @Sendable (String) -> Void = { _ in }

    private var findings: Findings { environment.findings }

    /// Runs all checks, and returns how many rows the audit checked.
    func run() async throws -> Int64 {
        try await waitForRest()
        printStep("comparing accounts")
        let accounts = try await compareAccounts()
        printStep("comparing campaigns, stock, scores and events")
        try await campaigns(accounts)
        try await stockAndScores(accounts)
        events(accounts)
        printStep("running the audit")
        return try await audit()
    }

    /// Waits until orders have expired, events are delivered and sales are counted.
    private func waitForRest() async throws {
        try await environment.waitUntilReady()
        let admin = environment.admin
        func atRest(_ what: String, _ condition: () async throws -> Bool) async {
            guard !Task.isCancelled else { return }
            printStep("until \(what)")
            do {
                try await eventually(what, within: patience) {
                    // A broken connection is opened again by the next attempt.
                    (try? await condition()) == true
                }
            } catch {
                findings.add(.wrong, "\(error)")
            }
        }
        // A customer who no longer waited may have left a request behind.
        for service in environment.services {
            await atRest("\(service) has answered every request") {
                try await environment.metrics(of: service).contains("\nfirstcome_http_requests_in_flight 0\n")
            }
        }
        await atRest("no order is pending") {
            for customer in customers.shuffled().prefix(20) {
                let orders = try await customer.caller.get("/users/\(customer.id)/orders?limit=100").expect(200).items()
                if orders.contains(where: { $0["status"]?.string == "PENDING" }) { return false }
            }
            return true
        }
        await atRest("no event waits") { try await admin.get("/admin/events?state=waiting&limit=1").expect(200).items().isEmpty }
        await atRest("every sale is counted") {
            for service in environment.services {
                let page = try await environment.metrics(of: service)
                if page.contains("\nfirstcome_duties_held 1\n"), page.contains("\nfirstcome_ranking_lag_events 0\n") { return true }
            }
            return false
        }
        let parked = (try? await admin.get("/admin/events?state=parked").items()) ?? []
        if !parked.isEmpty { findings.add(.lost, "\(parked.count) events are parked") }
    }

    private typealias Pair = (customer: Customer, account: Account)

    /// Of this many customers, one is compared with what every service says.
    private static let onEveryService: Int64 = 5

    private func compareAccounts() async throws -> [Pair] {
        let others = environment.services.count > 1 ? environment.services.map(\.pool) : []
        return try await withThrowingTaskGroup(of: Pair.self) { [findings, patience] group in
            var rest = customers[...]
            func next() {
                guard let customer = rest.popFirst() else { return }
                group.addTask {
                    let payments = Set(customer.known.orders.values.flatMap(\.payments))
                    var account = try await Account.read(customer.caller, payments: payments.sorted())
                    // Orders expire by the clock, so one that is pending now may be expired a moment later.
                    let deadline = ContinuousClock.now + patience
                    while account.isPending, ContinuousClock.now < deadline {
                        try await Task.sleep(for: .milliseconds(100))
                        account = try await Account.read(customer.caller, payments: payments.sorted())
                    }
                    Comparison(customer: customer, account: account, findings: findings).run()
                    for pool in others where customer.id % Self.onEveryService == 0 {
                        var caller = customer.caller
                        caller.pool = pool
                        let other = try await Account.read(caller, payments: payments.sorted())
                        Comparison(customer: customer, account: other, findings: findings).run()
                    }
                    return (customer, account)
                }
            }
            for _ in 0..<48 { next() }
            var pairs: [Pair] = []
            for try await pair in group {
                pairs.append(pair)
                next()
            }
            return pairs
        }
    }

    /// Checks that every coupon of a campaign was issued, each to one user.
    private func campaigns(_ accounts: [Pair]) async throws {
        for id in environment.catalogue.currentCampaigns {
            guard let quantity = environment.catalogue.campaigns[id] else { continue }
            let coupons = accounts.flatMap { $0.account.coupons.map(\.facts).filter { $0.campaign == id } }
            if Int64(coupons.count) != quantity {
                findings.add(
                    Int64(coupons.count) > quantity ? .doubled : .lost,
                    "campaign \(id) of \(quantity) has \(coupons.count) owners in the end")
            }
            let sequences = Dictionary(grouping: coupons, by: \.sequence)
            for (sequence, owners) in sequences where owners.count > 1 {
                findings.add(.doubled, "campaign \(id): place \(sequence) was given \(owners.count) times")
            }
            let codes = Set(coupons.map(\.code))
            if codes.count != coupons.count { findings.add(.doubled, "campaign \(id): a code was given twice") }
            for service in environment.services {
                var shown = ""
                let isRight = await becomes {
                    // What another service has changed is seen when the lease of a copied value ends.
                    let campaign = try await environment.admin(at: service).get("/coupons/\(id)").expect(200)
                    shown = campaign.text
                    return try campaign.int("remaining") == quantity - Int64(coupons.count) && campaign.int("quantity") == quantity
                }
                if !isRight {
                    findings.add(.wrong, "\(service): campaign \(id) of \(quantity) with \(coupons.count) owners says \(shown)")
                }
            }
        }
    }

    private func becomes(_ condition: () async throws -> Bool) async -> Bool {
        do {
            try await eventually("", within: patience) { (try? await condition()) == true }
            return true
        } catch {
            return false
        }
    }

    /// Checks that stock and scores are what was sold minus what was refunded.
    private func stockAndScores(_ accounts: [Pair]) async throws {
        var sold: [Int64: Int64] = [:]
        for (customer, account) in accounts {
            let record = customer.known
            for order in account.orders.values { sold.merge(record.unitsKept(of: order), uniquingKeysWith: +) }
        }
        for product in environment.catalogue.products {
            let expected = product.stock - (sold[product.id] ?? 0)
            for service in environment.services {
                var stock = Int64.min
                // An order expires by the clock, and the next sweep releases its stock.
                let isRight = await becomes {
                    stock = try await environment.admin(at: service).stock(of: product.id)
                    return stock == expected
                }
                if !isRight {
                    findings.add(.wrong, "\(service): product \(product.id) has stock \(stock), and \(expected) units were not sold")
                }
            }
        }
        // Scores that were lost are rebuilt a moment later.
        var scores: [Int64: Int64] = [:]
        let isRight = { environment.catalogue.products.allSatisfy { scores[$0.id] ?? 0 == sold[$0.id] ?? 0 } }
        try? await eventually("scores", within: patience) {
            scores = try await environment.scores()
            return isRight()
        }
        for product in environment.catalogue.products where scores[product.id] ?? 0 != sold[product.id] ?? 0 {
            let (score, units) = (scores[product.id] ?? 0, sold[product.id] ?? 0)
            findings.add(score > units ? .doubled : .lost, "product \(product.id) has score \(score), and \(units) units are sold")
        }
    }

    /// Checks that every payment and every refund reached the data platform.
    private func events(_ accounts: [Pair]) {
        let ids = Set(accounts.flatMap { $0.account.orders.keys })
        let received = environment.platform.received.values.filter { ids.contains($0.order) }
        let paid = Dictionary(grouping: received.filter { $0.type == "ORDER_PAID" }, by: \.order)
        let refunds = Dictionary(grouping: received.filter { $0.type == "ORDER_REFUNDED" }, by: \.order)
        for (customer, account) in accounts {
            let record = customer.known
            for order in account.orders.values {
                let isPaid = ["PAID", "REFUNDED"].contains(order.status)
                let events = paid[order.id] ?? []
                if events.count != (isPaid ? 1 : 0) {
                    findings.add(
                        events.count > 1 ? .doubled : .lost,
                        "order \(order.id) is \(order.status), and \(events.count) events say that it was paid")
                }
                let told = (record.orders[order.id]?.payments ?? []).flatMap { record.refunds[$0] ?? [] }.count
                let count = refunds[order.id]?.count ?? 0
                if count != told {
                    findings.add(
                        count > told ? .doubled : .lost, "order \(order.id) was refunded \(told) times, and \(count) events say so")
                }
            }
        }
        for event in received where !event.accepted {
            findings.add(.lost, "an event of order \(event.order) counts as delivered and was refused")
        }
    }

    private func audit() async throws -> Int64 {
        let output = try await Tool.run(
            ["audit", "--json"] + environment.direct,
            wrapping: { [disk = environment.disk] in disk?.command(wrapping: $0) ?? $0 })
        guard let report = try? JSONParser.parse(.init(string: output.standardOutput)), let checks = report["checks"]?.elements else {
            findings.add(.wrong, "the audit ended with \(output.status): \(output.standardOutput) \(output.standardError)")
            return 0
        }
        for check in checks {
            for violation in check["violations"]?.elements ?? [] {
                findings.add(.wrong, "audit, invariant \(check["invariant"]?.int ?? 0): \(violation.string ?? "")")
            }
        }
        if output.status != 0 { findings.add(.wrong, "the audit ended with \(output.status)") }
        return checks.reduce(0) { $0 + ($1["rowsChecked"]?.int ?? 0) }
    }
}

extension Environment {
    /// Units by product over all days, as an operator reads them.
    fileprivate func scores() async throws -> [Int64: Int64] {
        var scores: [Int64: Int64] = [:]
        if usesPrivateRedis { return try await privateScores() }
        for key in try await command("KEYS", Self.days).split(separator: "\n").map(String.init) {
            Self.add(
                try await command(at: key, ["ZRANGE", key, "0", "-1", "WITHSCORES"]).split(separator: "\n").map(String.init), to: &scores)
        }
        return scores
    }

    private static let days = "ranking:{sales}:2*"

    /// - Parameter lines: products, each with its units after it.
    private static func add(_ lines: [String], to scores: inout [Int64: Int64]) {
        for index in stride(from: 0, to: lines.count - 1, by: 2) {
            scores[Int64(lines[index]) ?? 0, default: 0] += Int64(lines[index + 1]) ?? 0
        }
    }

    private func privateScores() async throws -> [Int64: Int64] {
        var scores: [Int64: Int64] = [:]
        for key in try await privateRedis("KEYS", Self.days) {
            Self.add(try await privateRedis("ZRANGE", key, "0", "-1", "WITHSCORES"), to: &scores)
        }
        return scores
    }

    private func privateRedis(_ words: String...) async throws -> [String] {
        let command = ["redis-cli", "-s", dataFolder + "/redis/redis.sock"] + words
        return try await Tool.run(program: disk?.command(wrapping: command) ?? command).lines
    }
}
