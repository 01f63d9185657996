import Foundation
import Synchronization
import TestSupport

/// Breaks the service in every way it knows while hundreds of people shop, and looks afterwards whether anything was lost or
/// doubled.
package struct Torture: Sendable {
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
        let world = try await World.start(random: Seeded(seed: seed), connections: connections)
        do {
            let report = try await run(in: world)
            await world.end()
            return report
        } catch {
            narrate("the service's log ends with:\n\(world.log.suffix(4_000))")
            await world.end()
            throw error
        }
    }

    private func run(in world: World) async throws -> TortureReport {
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
        try await world.waitUntilReady()
        for number in 1...max(rounds, 1) {
            if deck.isEmpty { deck = possible.shuffled(using: &world.random) }
            let fault = deck.removeLast()
            if (number - 1).isMultiple(of: roundsPerCrowd) { try await world.renew(customers: shoppers * 2) }
            let round = try await Round(fault: fault, torture: self, world: world).run()
            report.add(round)
            narrate("round \(number)/\(rounds)  \(round)")
            for finding in round.findings.prefix(20) { narrate("    \(finding)") }
            if !round.findings.isEmpty { narrate("    the service's log ends with:\n\(world.log.suffix(3_000))") }
        }
        narrate("everybody who was ever there is looked at once more")
        for customer in world.everybody where !world.customers.contains(where: { $0 === customer }) {
            let payments = Set(customer.known.orders.values.flatMap(\.payments))
            let account = try await Account.read(customer.caller, payments: payments.sorted())
            Comparison(customer: customer, account: account, findings: world.findings).run()
        }
        report.atTheEnd = world.findings.take()
        for finding in report.atTheEnd { narrate("    \(finding)") }
        return report
    }
}

/// One fault while people shop, and the look at what it has done.
struct Round {
    let fault: Fault
    let torture: Torture
    let world: World

    func run() async throws -> RoundReport {
        try await world.openCampaigns()
        try await fault.prepare(world)
        try await world.waitUntilReady()
        _ = world.client.tally.take()
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
            try await world.pause(milliseconds: torture.shopping)
            torture.narrateStep("struck by \(fault)")
            try await fault.strike(world)
            torture.narrateStep("struck")
            report.back = try await world.waitUntilReady()
            if report.back > .seconds(3) { torture.narrateStep("slow to be ready; its log ends with:\n\(world.log.suffix(6_000))") }
            if Int.random(in: 0..<3, using: &world.random) == 0 { world.raiseQuantity() }
            try await world.pause(milliseconds: torture.shopping)
            let tally = world.client.tally
            try await eventually("people go on shopping", whileCounting: { tally.current.answers }, most: 100_000) {
                tally.current.successes >= torture.leastSuccesses
            }
        } catch  where error is Fault.NotReached || error is NotInTime {
            world.findings.add(.wrong, "the fault was not brought about: \(error)")
            // Nothing of it must be left for the next one.
            try await world.killService()
            try await world.startService()
        }
        over.raise()
        torture.narrateStep("people leave")
        try await world.waitUntilReady()
        await crowd.value
        await world.finishErrands()
        torture.narrateStep("the rest is claimed")
        await claimTheRest()
        torture.narrateStep("everything is looked at")
        report.tally = world.client.tally.take()
        report.rowsAudited = try await Verification(world: world, customers: world.customers).run()
        try await fault.finish(world)
        report.findings = world.findings.take()
        return report
    }

    private func makeShoppers() -> [Shopper] {
        let perShopper = max(1, world.customers.count / torture.shoppers)
        return stride(from: 0, to: world.customers.count, by: perShopper).map { start in
            Shopper(
                customers: Array(world.customers[start..<min(start + perShopper, world.customers.count)]), admin: world.admin,
                client: world.client, shelf: world.shelf, random: Seeded(seed: world.random.next()))
        }
    }

    /// Those without a coupon come once more: in the end every unit must be somebody's.
    private func claimTheRest() async {
        let (client, admin, shelf) = (world.client, world.admin, world.shelf)
        for campaign in shelf.fresh {
            let rest = world.customers.filter { $0.known.claims[campaign] == nil }
            await withTaskGroup { group in
                for customer in rest {
                    group.addTask {
                        let shopper = Shopper(customers: [customer], admin: admin, client: client, shelf: shelf, random: Seeded(seed: 0))
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
