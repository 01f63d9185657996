/// The targets, each with the measurement that it is checked against.
extension Report {
    package func judgedTargets() -> [TargetResult] {
        claimTargets + readTargets + moneyTargets + postgresTargets + servicesTargets + openLoopTargets + overloadTargets + growthTargets
            + memoryTargets
            + operationTargets
    }

    private func cpu(_ row: Row, to peer: Row) -> Double? { ratio(row, to: peer, of: \.cpu)?.median }
    private func userCPU(_ row: Row, to peer: Row) -> Double? { ratio(row, to: peer, of: \.userCPU)?.median }
    private func rate(_ row: Row, to peer: Row) -> Double? { ratio(row, to: peer, of: \.perSecond)?.median }

    private var claimTargets: [TargetResult] {
        let refused = [(Row.claimSoldOut, Row.webdisSoldOut), (.claimAlready, .webdisAlready)].flatMap { row, webdis in
            [
                Target(row.rawValue, "user-mode CPU, x a bare channel", .atMost, 2.3, stretch: 1.8).judge(userCPU(row, to: .bareChannel)),
                Target(row.rawValue, "server CPU, x nginx return 200", .atMost, 1.35, stretch: 1.2).judge(cpu(row, to: .nginxClaim)),
                Target(row.rawValue, "server CPU, x webdis", .atMost, 0.65, stretch: 0.5).judge(cpu(row, to: webdis)),
                Target(row.rawValue, "requests/s, x webdis", .atLeast, 1.4, stretch: 2).judge(rate(row, to: webdis)),
            ]
        }
        let loops = Target(Row.claimSoldOut.rawValue, "server CPU with 2 loops, x with 1", .atMost, 1.1, stretch: 1.03)
        let wins = Row.claimWins.rawValue
        let redis = ratio(.claimWins, to: .claimWinsBefore, of: \.redisCPU)?.median
        let alone = ratio(.claimWinsAlone, to: .claimWinsAloneBefore, of: \.p50)?.median
        let won = [
            Target(wins, "Redis CPU, x an earlier build", .atMost, 0.45, stretch: 0.3).judge(redis),
            Target(wins, "server CPU, x an earlier build", .atMost, 0.7, stretch: 0.5).judge(cpu(.claimWins, to: .claimWinsBefore)),
            Target(Row.claimWinsAlone.rawValue, "p50, x an earlier build", .atMost, 1.05, stretch: 1).judge(alone),
        ]
        return refused + won + [loops.judge(cpu(.claimSoldOutTwoLoops, to: .claimSoldOut))]
    }

    private var readTargets: [TargetResult] {
        [Row.top, .product, .balance].flatMap { row in
            [
                Target(row.rawValue, "server CPU, x bare SwiftNIO", .atMost, 1.2).judge(cpu(row, to: .bareServer)),
                Target(row.rawValue, "server CPU, x nginx return 200", .atMost, 1.35, stretch: 1.2).judge(cpu(row, to: .nginx)),
            ]
        }
    }

    /// The ratio to the better of PostgreSQL's rows with different numbers of clients, by medians over all rounds.
    ///
    /// By medians, because rows of different parts are not measured in the same rounds.
    private func rate(_ row: Row, toBestOf peers: [Row]) -> Double? {
        let best = peers.compactMap { median($0) }.max()
        guard let own = median(row), let best, best > 0 else { return nil }
        return own / best
    }

    private func median(_ row: Row) -> Double? { Spread(samples(row).map(\.perSecond))?.median }

    private var moneyTargets: [TargetResult] {
        let payments: [Row] = [.postgresPayment16, .postgresPayment64]
        let ofPayments = "requests/s, x PostgreSQL's payments/s"
        return [
            Target(Row.claimWins.rawValue, ofPayments, .atLeast, 4, stretch: 6).judge(rate(.claimWins, toBestOf: payments)),
            Target(Row.payment.rawValue, ofPayments, .atLeast, 4, stretch: 6).judge(rate(.payment, toBestOf: payments)),
            Target(Row.checkout.rawValue, ofPayments, .atLeast, 3, stretch: 4).judge(rate(.checkout, toBestOf: payments)),
        ]
    }

    /// Only a higher cost misses a target: a request that is cheaper on a larger store meets it.
    private var growthTargets: [TargetResult] {
        findings.growth.map { curve in
            let sizes = [curve.points.first, curve.points.last].compactMap { $0.map { Figure.count(Double($0.size)) } }
            let name = "\(curve.title): \(sizes.joined(separator: " to ")) \(curve.unit)"
            return Target(name, "% more server CPU", .atMost, 15, stretch: 5).judge(curve.cpuGrowthPercent)
        }
    }

    private var memoryTargets: [TargetResult] {
        let last = findings.memory.last { $0.moment == .afterWins }
        let megabytes = last.map { Double($0.service) / 1_048_576 }
        let name = last.map { "resident memory after \(Figure.count(Double($0.count))) claims" } ?? "resident memory after claims"
        let before = findings.memory.last { $0.moment == .beforeRefusals }
        let after = findings.memory.last { $0.moment == .afterRefusals }
        var growth: Double?
        if let before, let after, after.count > 0 {
            // Rounded to a tenth: one byte per claim would show as 1, and Redis' own bookkeeping changes by a kilobyte.
            growth = max(0, (Double(after.redis - before.redis) / Double(after.count) * 10).rounded() / 10)
        }
        return [
            Target(name, "MB", .atMost, 131, stretch: 100).judge(megabytes),
            Target("Redis memory per million refused claims", "MB more", .atMost, 0).judge(growth),
        ]
    }

    private var operationTargets: [TargetResult] {
        findings.operations.map { Target($0.name, "seconds", .atMost, $0.limit).judge(Spread($0.seconds)?.median) }
    }
}
