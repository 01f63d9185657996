import JSON
import TestSupport

/// What became of the sale: the numbers, and whether everything holds.
struct Closing: Sendable {
    let shop: Shop
    let screen: Screen
    let tally: Tally
    let rush: ClaimRush.Result
    let coupon: Int64
    let start: ContinuousClock.Instant

    /// Prints it, and returns whether exactly 100 coupons were issued and the audit is clean.
    func report() async throws -> Bool {
        screen.line()
        try await writeClaims()
        writeOrders()
        let issued = try await checkIssued()
        let audit = try await shop.audit()
        screen.line()
        screen.line("firstcome audit, over store and Redis:")
        for line in audit.lines { screen.line("  \(line)") }
        if audit.status != 0 { for line in audit.complaint { screen.line("  \(line)") } }
        screen.line()
        let took = Text.seconds(start.duration(to: .now))
        let isRight = issued && audit.status == 0
        screen.line(isRight ? "Everything holds; \(took) in all." : "Something does NOT hold; see above. \(took) in all.")
        screen.line("Where to look next: README.md, \(shop.url)/docs for the API, and the guides in Sources/firstcome/Firstcome.docc.")
        return isRight
    }

    private func writeClaims() async throws {
        let times = tally.times(.claim)
        let rate = Int(Double(tally.requests(.claim)) / max(rush.took / .seconds(1), 0.001))
        screen.line("Claims    \(Text.number(tally.requests(.claim))) answered, \(Text.number(rate)) requests/s, \(times.text)")
        for (name, count) in tally.outcomes("claim ") { screen.line("  \(Text.padded(Text.number(count), 7, toRight: true))  \(name)") }
    }

    private func writeOrders() {
        let times = tally.times(.shopping)
        screen.line("Shopping  \(Text.number(tally.requests(.shopping))) answered, \(times.text)")
        for (count, words) in [
            (tally.outcome("ordered"), "orders"), (tally.outcome("paid"), "payments of \(Text.number(tally.wonPaid)) won"),
            (tally.outcome("cancelled"), "cancelled"), (tally.outcome("charged again"), "balances charged again"),
        ] {
            screen.line("  \(Text.padded(Text.number(count), 7, toRight: true))  \(words)")
        }
        for (name, count) in tally.outcomes("shopping ") { screen.line("  \(Text.padded(Text.number(count), 7, toRight: true))  \(name)") }
    }

    /// Compares what people were told with what the service has.
    private func checkIssued() async throws -> Bool {
        let campaign = try await shop.admin.get("/coupons/\(coupon)").expect(200)
        let remaining = try campaign.int("remaining")
        let sequences = rush.winners.map(\.sequence)
        let isExact =
            sequences == (1...Int64(FlashSale.coupons)).map { $0 } && Set(rush.winners.map(\.person.id)).count == FlashSale.coupons
        screen.line(
            "Coupons   \(sequences.count) people were told that they have one, \(remaining) remain: "
                + (isExact && remaining == 0
                    ? "exactly \(FlashSale.coupons) issued, sequences 1 to \(FlashSale.coupons)" : "NOT as it must be"))
        return isExact && remaining == 0
    }
}
