import Foundation
import Synchronization
import TestSupport

/// Breaks the service in every way it knows while hundreds of people shop, and looks afterwards whether anything was lost or
/// doubled.
package struct TortureRun: Sendable {
    package var seed: UInt64
    package var rounds: Int
    /// The ways of breaking to choose from; each comes up equally often, in an order that the seed decides.
    package var faults = Fault.all
    package var connections = 240
    package var shoppers = 200
    /// How long people shop before and after the fault.
    package var shopping: ClosedRange<Int> = 300...1_000
    /// How many changes people must have made before a round ends.
    package var leastSuccesses = 0
    /// After that many rounds new people come, with new products.
    package var roundsPerCrowd = 8
    /// Told what happens, line by line.
    package var narrate: @Sendable (String) -> Void = { _ in }

    /// Told each step of a round.
    package var narrateStep: @Sendable (String) -> Void = { _ in }

    package init(seed: UInt64, rounds: Int) {
        (self.seed, self.rounds) = (seed, rounds)
    }

    /// Runs all rounds. What is wrong is in the report; an error means that the torture itself could not go on.
    package func run() async throws -> TortureReport {
        narrate("torture: SEED=\(seed) ROUNDS=\(rounds), \(shoppers) people on up to \(connections) connections")
        let environment = try await Environment.start(random: SeededGenerator(seed: seed), connections: connections)
        do {
            let report = try await run(in: environment)
            await environment.end()
            return report
        } catch {
            narrate("the service's log ends with:\n\(environment.log.suffix(4_000))")
            await environment.end()
            throw error
        }
    }

    private func run(in environment: Environment) async throws -> TortureReport {
        var report = TortureReport(seed: seed)
        var deck: [Fault] = []
        var possible = faults
        for fault in faults {
            guard let obstacle = fault.obstacle() else { continue }
            report.skipped[fault.name] = obstacle
            possible.removeAll { $0.name == fault.name }
            narrate("left out: \(fault.name), since \(obstacle)")
        }
        guard !possible.isEmpty else { return report }
        try await environment.waitUntilReady()
        for number in 1...max(rounds, 1) {
            if deck.isEmpty { deck = possible.shuffled(using: &environment.random) }
            let fault = deck.removeLast()
            if (number - 1).isMultiple(of: roundsPerCrowd) { try await environment.renew(customers: shoppers * 2) }
            let round = try await Round(fault: fault, torture: self, environment: environment).run()
            report.add(round)
            narrate("round \(number)/\(rounds)  \(round)")
            for finding in round.findings.prefix(20) { narrate("    \(finding)") }
            if !round.findings.isEmpty { narrate("    the service's log ends with:\n\(environment.log.suffix(3_000))") }
        }
        narrate("everybody who was ever there is looked at once more")
        for customer in environment.everybody where !environment.customers.contains(where: { $0 === customer }) {
            let payments = Set(customer.known.orders.values.flatMap(\.payments))
            let account = try await Account.read(customer.caller, payments: payments.sorted())
            Comparison(customer: customer, account: account, findings: environment.findings).run()
        }
        report.atTheEnd = environment.findings.take()
        for finding in report.atTheEnd { narrate("    \(finding)") }
        return report
    }
}

/// One fault while people shop, and the verification afterwards.
struct Round {
    let fault: Fault
    let torture: TortureRun
    let environment: Environment

    func run() async throws -> RoundReport {
        try await environment.openCampaigns()
        try await fault.prepare(environment)
        try await environment.waitUntilReady()
        _ = environment.client.counts.take()
        var report = RoundReport(fault: fault.name)
        let shoppers = makeShoppers()
        let over = Over()
        let crowd = Task {
            await withTaskGroup { group in
                for shopper in shoppers {
                    group.addTask {
                        var shopper = shopper
                        await shopper.shop { over.isUp }
                    }
                }
            }
        }
        // Nobody goes on shopping where the round could not be ended in order.
        defer { crowd.cancel() }
        do {
            try await environment.pause(milliseconds: torture.shopping)
            torture.narrateStep("struck by \(fault)")
            try await fault.strike(environment)
            torture.narrateStep("struck")
            report.back = try await environment.waitUntilReady()
            if report.back > .seconds(3) { torture.narrateStep("slow to be ready; its log ends with:\n\(environment.log.suffix(6_000))") }
            if Int.random(in: 0..<3, using: &environment.random) == 0 { environment.raiseQuantity() }
            try await environment.pause(milliseconds: torture.shopping)
            let counts = environment.client.counts
            try await eventually("people go on shopping", whileCounting: { counts.current.answers }, most: 100_000) {
                counts.current.successes >= torture.leastSuccesses
            }
        } catch  where error is Fault.NotReached || error is NotInTime {
            environment.findings.add(.wrong, "the fault was not brought about: \(error)")
            // Nothing of it must be left for the next one.
            try await environment.killService()
            try await environment.startService()
        }
        over.raise()
        torture.narrateStep("people leave")
        try await environment.waitUntilReady()
        await crowd.value
        await environment.finishErrands()
        torture.narrateStep("the rest is claimed")
        await claimTheRest()
        torture.narrateStep("everything is looked at")
        report.counts = environment.client.counts.take()
        report.rowsAudited = try await Verification(environment: environment, customers: environment.customers).run()
        try await fault.finish(environment)
        report.findings = environment.findings.take()
        return report
    }

    private func makeShoppers() -> [Shopper] {
        let perShopper = max(1, environment.customers.count / torture.shoppers)
        return stride(from: 0, to: environment.customers.count, by: perShopper).map { start in
            Shopper(
                customers: Array(environment.customers[start..<min(start + perShopper, environment.customers.count)]),
                admin: environment.admin,
                client: environment.client, catalogue: environment.catalogue, random: SeededGenerator(seed: environment.random.next()))
        }
    }

    /// Customers without a coupon claim once more: in the end every unit must be issued.
    private func claimTheRest() async {
        let (client, admin, catalogue) = (environment.client, environment.admin, environment.catalogue)
        for campaign in catalogue.currentCampaigns {
            let rest = environment.customers.filter { $0.known.claims[campaign] == nil }
            await withTaskGroup { group in
                for customer in rest {
                    group.addTask {
                        let shopper = Shopper(
                            customers: [customer], admin: admin, client: client, catalogue: catalogue, random: SeededGenerator(seed: 0))
                        await shopper.claim(campaign, by: customer, key: nil, copies: 1, insisting: true)
                    }
                }
            }
        }
    }
}

/// Something that happens once.
final class Over: Sendable {
    private let state = Atomic<Bool>(false)
    var isUp: Bool { state.load(ordering: .acquiring) }
    func raise() { state.store(true, ordering: .releasing) }
}
