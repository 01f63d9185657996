import JSON
import TestSupport

/// Everybody claims the coupon in the same second or two.
struct ClaimRush: Sendable {
    /// Whoever got a coupon.
    struct Winner: Sendable {
        let person: Caller
        let coupon: Int64
        let sequence: Int64
        /// From the opening to the answer.
        let after: Duration
    }

    struct Result: Sendable {
        let winners: [Winner]
        /// From the opening to the last answer.
        let took: Duration
    }

    let shop: Shop
    let screen: Screen
    let tally: Tally
    let coupon: Int64
    let opening: Opening

    /// Within what time people click; most do in the first half.
    private static let clicks = Duration.milliseconds(1_500)

    func run(_ people: [Caller]) async throws -> Result {
        let watching = Task { try await watch(people.count) }
        defer { watching.cancel() }
        let winners = try await withThrowingTaskGroup(of: Winner?.self) { group in
            for person in people { group.addTask { try await claim(person) } }
            var winners: [Winner] = []
            for try await winner in group { if let winner { winners.append(winner) } }
            return winners.sorted { $0.sequence < $1.sequence }
        }
        let took = opening.instant.duration(to: .now)
        watching.cancel()
        _ = await watching.result
        screen.line("\(Text.number(people.count)) people have claimed within \(Text.seconds(took)): \(winners.count) have a coupon")
        for winner in winners.prefix(3) {
            let name = try await shop.admin.get("/users/\(winner.person.id)").expect(200).string("name")
            screen.line("  \(winner.sequence). \(name), \(Text.milliseconds(winner.after)) after the opening")
        }
        return Result(winners: winners, took: took)
    }

    /// Clicks once, and again where the service asks to come later or the connection breaks.
    private func claim(_ person: Caller) async throws -> Winner? {
        let moment = min(Double.random(in: 0...1), Double.random(in: 0...1))
        try await Task.sleep(until: opening.instant + .milliseconds(5) + Self.clicks * moment)
        for _ in 0..<60 {
            try Task.checkCancellation()
            guard let answer = try? await tally.timed(.claim, { try await person.claim(coupon) }) else {
                tally.count("claim connection lost, clicked again")
                continue
            }
            tally.count("claim " + (answer.status == 201 ? "won" : answer.code ?? "\(answer.status)"))
            switch answer.status {
            case 201: return try winner(person, answer.json())
            // The answer to an earlier click was lost: the coupon is in this one.
            case 409 where answer.code == "COUPON_ALREADY_CLAIMED": return try winner(person, answer.value("issuedCoupon"))
            case 409 where answer.code == "COUPON_NOT_OPEN", 429, 503: try await Task.sleep(for: .milliseconds(.random(in: 300...1_000)))
            default: return nil
            }
        }
        return nil
    }

    private func winner(_ person: Caller, _ coupon: JSONValue) throws -> Winner {
        guard let id = coupon["issuedCouponId"]?.int, let sequence = coupon["sequence"]?.int else {
            throw HTTPAnswer.NotAsExpected(description: "no issued coupon in \(coupon)")
        }
        return Winner(person: person, coupon: id, sequence: sequence, after: opening.instant.duration(to: .now))
    }

    private func watch(_ people: Int) async throws {
        while true {
            try await Task.sleep(for: .milliseconds(200))
            let (won, asked) = (tally.outcome("claim won"), tally.requests(.claim))
            let bar = Text.padded(Text.bar(Int64(won), of: Int64(FlashSale.coupons), columns: 40), 40)
            screen.draw(["coupons \(bar) \(won) of \(FlashSale.coupons), \(Text.number(asked)) claims answered"], every: .milliseconds(600))
        }
    }
}
