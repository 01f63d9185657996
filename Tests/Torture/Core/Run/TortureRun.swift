import Foundation
import Synchronization
import TestSupport

/// Injects faults while hundreds of customers shop, and checks after each one whether anything was lost or doubled.
package struct TortureRun: Sendable {
    package var seed: UInt64
    package var rounds: Int
    /// One service on SQLite, or several on PostgreSQL.
    package let services: Int
    /// The faults to choose from; each is injected equally often, in an order that the seed decides.
    package var faults: [Fault]
    /// Connections to all services together.
    package var connections: Int
    package var shoppers: Int
    /// How long customers shop before and after the fault, in milliseconds.
    package var shopping: ClosedRange<Int> = 300...1_000
    /// How many changes a round must have made before it ends.
    package var leastSuccesses = 0
    /// After that many rounds there are new customers and products.
    package var roundsPerCrowd = 8
    /// Prints a line about the run.
    package var printLine: @Sendable (String) -> Void = { _ in }

    /// Prints each step of a round.
    package var printStep: @Sendable (String) -> Void = { _ in }

    package init(seed: UInt64, rounds: Int, services: Int = 1) {
        (self.seed, self.rounds, self.services) = (seed, rounds, services)
        faults = Self.faults(ofServices: services)
        (connections, shoppers) = services > 1 ? (60, 60) : (240, 200)
    }

    package static func faults(ofServices count: Int) -> [Fault] { count > 1 ? Fault.ofSeveral : Fault.all }

    /// Runs all rounds. Findings are in the report; an error means that the torture itself could not continue.
    package func run() async throws -> TortureReport {
        printLine("torture: SEED=\(seed) ROUNDS=\(rounds) SERVICES=\(services), \(shoppers) shoppers on up to \(connections) connections")
        let environment = try await Environment.start(
            random: SeededGenerator(seed: seed), services: services, connections: connections)
        do {
            let report = try await run(in: environment)
            await environment.end()
            return report
        } catch {
            printLine("the logs end with:\n\(environment.logs(4_000))")
            await environment.end()
            throw error
        }
    }

    private func run(in environment: Environment) async throws -> TortureReport {
        var report = TortureReport(seed: seed)
        var upcoming: [Fault] = []
        var possible = faults
        for fault in faults {
            guard let obstacle = fault.obstacle() else { continue }
            report.skipped[fault.name] = obstacle
            possible.removeAll { $0.name == fault.name }
            printLine("skipped: \(fault.name): \(obstacle)")
        }
        guard !possible.isEmpty else { return report }
        try await environment.waitUntilReady()
        for number in 1...max(rounds, 1) {
            if upcoming.isEmpty { upcoming = possible.shuffled(using: &environment.random) }
            let fault = upcoming.removeLast()
            if (number - 1).isMultiple(of: roundsPerCrowd) { try await environment.renew(customers: shoppers * 2 + 1) }
            let round = try await Round(fault: fault, torture: self, environment: environment).run()
            report.add(round)
            printLine("round \(number)/\(rounds)  \(round)")
            for finding in round.findings.prefix(20) { printLine("    \(finding)") }
            if !round.findings.isEmpty { printLine("    the logs end with:\n\(environment.logs(3_000))") }
        }
        printLine("comparing the customers of all rounds once more")
        let present = environment.customers
        let earlier = environment.allCustomers.filter { customer in !present.contains { $0 === customer } }
        let findings = environment.findings
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, customer) in earlier.enumerated() {
                if index >= 24 { try await group.next() }
                group.addTask {
                    let payments = Set(customer.known.orders.values.flatMap(\.payments))
                    let account = try await Account.read(customer.caller, payments: payments.sorted())
                    Comparison(customer: customer, account: account, findings: findings).run()
                }
            }
            try await group.waitForAll()
        }
        report.atTheEnd = environment.findings.take()
        for finding in report.atTheEnd { printLine("    \(finding)") }
        return report
    }
}

/// One fault while customers shop, and the verification afterwards.
struct Round {
    let fault: Fault
    let torture: TortureRun
    let environment: Environment

    func run() async throws -> RoundReport {
        try await environment.openCampaigns()
        if environment.services.count > 1 {
            environment.target = environment.services.randomElement(using: &environment.random) ?? environment.target
        }
        try await fault.prepare(environment)
        try await environment.waitUntilReady(rearming: true)
        _ = environment.client.counts.take()
        var report = RoundReport(fault: fault.name)
        let shoppers = makeShoppers()
        let stop = StopFlag()
        let crowd = Task {
            await withTaskGroup { group in
                for shopper in shoppers {
                    group.addTask {
                        var shopper = shopper
                        await shopper.shop { stop.isSet }
                    }
                }
            }
        }
        // Also ends the shoppers where the round fails.
        defer { crowd.cancel() }
        do {
            try await environment.pause(milliseconds: torture.shopping)
            torture.printStep("injecting \(fault)")
            try await fault.inject(environment)
            torture.printStep("injected")
            try await environment.undoFaults()
            report.recoveryTime = try await environment.waitUntilReady()
            if report.recoveryTime > .seconds(3) { torture.printStep("ready late; the logs end with:\n\(environment.logs(6_000))") }
            if Int.random(in: 0..<3, using: &environment.random) == 0 { environment.raiseQuantity() }
            try await environment.pause(milliseconds: torture.shopping)
            let counts = environment.client.counts
            try await eventually("the round has made enough changes", whileCounting: { counts.current.answers }, most: 100_000) {
                counts.current.successes >= torture.leastSuccesses
            }
        } catch  where error is Fault.NotReached || error is NotInTime {
            environment.findings.add(.wrong, "the fault could not be injected: \(error)")
            // A fresh process, so that nothing of this fault reaches the next round.
            try await environment.undoFaults()
            for service in environment.services {
                try await service.kill()
                try await service.start(environment.launch(of: service))
            }
        }
        stop.set()
        torture.printStep("stopping the shoppers")
        try await environment.waitUntilReady()
        await crowd.value
        await environment.finishPendingChanges()
        torture.printStep("claiming the remaining coupons")
        await claimTheRest()
        torture.printStep("verifying")
        report.counts = environment.client.counts.take()
        (report.firstSuccess, environment.firstSuccess) = (environment.firstSuccess, nil)
        report.rowsAudited = try await Verification(
            environment: environment, customers: environment.customers, printStep: torture.printStep
        ).run()
        try await fault.finish(environment)
        report.findings = environment.findings.take()
        return report
    }

    private func makeShoppers() -> [Shopper] {
        // The last customer is the probe.
        let customers = environment.customers.dropLast()
        let perShopper = max(1, customers.count / torture.shoppers)
        return stride(from: 0, to: customers.count, by: perShopper).map { start in
            Shopper(
                customers: Array(customers[start..<min(start + perShopper, customers.count)]),
                admin: environment.admin,
                client: environment.client, catalogue: environment.catalogue, random: SeededGenerator(seed: environment.random.next()))
        }
    }

    /// Claims for every customer without a coupon: in the end every coupon must be issued.
    private func claimTheRest() async {
        let (client, admin, catalogue) = (environment.client, environment.admin, environment.catalogue)
        for campaign in catalogue.currentCampaigns {
            let rest = environment.customers.filter { $0.known.claims[campaign] == nil }
            await withTaskGroup { group in
                for customer in rest {
                    group.addTask {
                        let shopper = Shopper(
                            customers: [customer], admin: admin, client: client, catalogue: catalogue, random: SeededGenerator(seed: 0))
                        await shopper.claim(campaign, by: customer, key: nil, copies: 1, retrying: true)
                    }
                }
            }
        }
    }
}

/// A flag that is set once.
final class StopFlag: Sendable {
    private let state = Atomic<Bool>(false)
    var isSet: Bool { state.load(ordering: .acquiring) }
    func set() { state.store(true, ordering: .releasing) }
}
